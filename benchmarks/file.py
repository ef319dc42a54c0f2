"""A million chunks into a file, in one run on one machine; compare the figures with each other, and with nothing else.

Two comparisons: the file sink beside a bare loop of `os.write`, both given the pieces into which the lane has merged
the chunks; and a stream with a file sink beside a stream that nobody takes.

    python benchmarks/file.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan import Fan
from streamfan.attempts import next_attempt
from streamfan.events import Chunk, StreamInfo, now
from streamfan.sinks.file import FileSink

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNKS = 1_000_000
WORD = "word "
REPEATS = 5


def stream(sinks: Sequence[str], chunks: int) -> tuple[float, int]:
    """Seconds from the first chunk until every sink has all of them, and in how many pieces they were given."""
    fan = Fan(*sinks)
    fan.reach()
    begun = time.perf_counter()
    with fan, fan.open() as stream:
        for _ in range(chunks):
            stream.write(WORD)
    took = time.perf_counter() - begun
    assert all(sink.bytes == chunks * len(WORD) for sink in fan.report.sinks)
    return took, max((sink.chunks for sink in fan.report.sinks), default=0)


def sink(path: Path, pieces: Sequence[Chunk]) -> float:
    """Seconds that the sink takes for these pieces."""
    sink = FileSink(str(path))
    sink.connect()
    sink.open(pieces[0].stream)
    begun = time.perf_counter()
    for piece in pieces:
        sink.write(piece)
    took = time.perf_counter() - begun
    sink.disconnect()
    return took


def bare(path: Path, pieces: Sequence[Chunk]) -> float:
    """Seconds of a bare loop over the same pieces."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begun = time.perf_counter()
    for piece in pieces:
        os.write(file, piece.data)
    took = time.perf_counter() - begun
    os.close(file)
    return took


def cut(chunks: int, count: int) -> list[Chunk]:
    """The text of so many chunks, in `count` pieces."""
    info = StreamInfo(id="text", attempt=next_attempt(), writer="benchmark", time=now())
    each = -(-chunks // count) * len(WORD)
    text = (WORD * chunks).encode()
    return [Chunk(info, offset, text[offset : offset + each]) for offset in range(0, len(text), each)]


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    chunks = CHUNKS // 10 if parser.parse_args().quick else CHUNKS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        whole, alone, sinks, bares = [], [], [], []
        count = 0
        for _ in range(REPEATS):
            took, count = stream([f"file:{path}"], chunks)
            pieces = cut(chunks, count)
            whole.append(took)
            alone.append(stream([], chunks)[0])
            bares.append(bare(path, pieces))
            sinks.append(sink(path, pieces))
    print(f"{chunks:,} chunks, merged into {count} pieces")
    show("os.write", bares, bares)
    show("the file sink's write()", sinks, bares, " (bar: x1.5)")
    print()
    show("a stream that nobody takes", alone, alone)
    show("a stream with a file sink", whole, alone)


def show(name: str, times: Sequence[float], reference: Sequence[float], bar: str = "") -> None:
    """Print one line."""
    median = statistics.median(times)
    print(f"{name:28}{median * 1e3:>9.1f} ms   x{median / statistics.median(reference):.2f}{bar}")


if __name__ == "__main__":
    main()
