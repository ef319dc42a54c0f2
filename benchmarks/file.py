"""A million chunks into a file, beside a bare loop that writes the same merged pieces with `os.write`, in one run.

Compare the figures with each other, not with those of another machine. The lane merges what comes faster than the file
takes it, so the bare loop writes what the lane wrote: as many pieces, each as large.

    python benchmarks/file.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from streamfan import Fan

CHUNKS = 1_000_000
WORD = "word "


def ours(path: Path, chunks: int) -> tuple[float, int]:
    """Seconds from the first chunk until the file has all of them, and in how many pieces it came."""
    with Fan(f"file:{path}") as fan:
        fan.reach()
        begun = time.perf_counter()
        with fan.open() as stream:
            for _ in range(chunks):
                stream.write(WORD)
    took = time.perf_counter() - begun
    (sink,) = fan.report.sinks
    assert path.stat().st_size == chunks * len(WORD) == sink.bytes
    return took, sink.chunks


def nobody(chunks: int) -> float:
    """Seconds that the same text takes where there is no sink at all."""
    with Fan() as fan:
        begun = time.perf_counter()
        with fan.open() as stream:
            for _ in range(chunks):
                stream.write(WORD)
    return time.perf_counter() - begun


def bare(path: Path, chunks: int, pieces: int) -> float:
    """Seconds of a loop that gathers the same chunks and writes them in as many pieces."""
    each = -(-chunks // pieces)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begun = time.perf_counter()
    gathered: list[bytes] = []
    for number in range(chunks):
        gathered.append(WORD.encode())
        if len(gathered) == each or number == chunks - 1:
            os.write(file, b"".join(gathered))
            gathered.clear()
    took = time.perf_counter() - begun
    os.close(file)
    return took


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    chunks = CHUNKS // 10 if parser.parse_args().quick else CHUNKS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        runs = []
        for _ in range(3):
            took, pieces = ours(path, chunks)
            runs.append((took, nobody(chunks), bare(path, chunks, pieces), pieces))
    took, alone, reference, pieces = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"{chunks:,} chunks, merged into {pieces:,.0f} pieces")
    for name, seconds in (
        ("os.write of the merged pieces", reference),
        ("a stream that nobody takes", alone),
        ("a stream and a file sink", took),
    ):
        print(f"{name:32}{seconds:>8.2f} s   x{seconds / reference:.2f}")


if __name__ == "__main__":
    main()
