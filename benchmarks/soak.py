"""Millions of chunks through streams that come and go, to sinks of every kind of illness: is anything lost, or kept?

200 streams are open at a time; each ends after some chunks, and another takes its place. The healthy sinks must hold
every byte (each stream's sha256 is compared with what they were given), the ill ones may lack what their reports say,
and memory must stay flat.

    python benchmarks/soak.py [--quick] [--chunks N] [--streams N]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import random
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan import Fan, LaneOptions, Retryable, Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import Chunk, End, StreamInfo
    from streamfan.stream import Stream

CHUNKS = 5_000_000
QUICK = 100_000
CONCURRENT = 200
# On average; streams differ in length.
CHUNKS_EACH = 250
CANCELLED = 0.05
WORDS = [f"{word} " for word in "the quick brown fox — за рекой 日本 jumps over a lazy dog 😀".split()]
LINES = 20
# Before these the program still grows into its work: buffers, caches, the report's last 1,000 streams.
SETTLING = 0.25


class Checking(Sink):
    """Keeps the hash of each stream until it is closed, and counts the streams that are not what they should be."""

    name = "checking"

    def __init__(self) -> None:
        super().__init__()
        self.checked = 0
        self.wrong = 0
        self._hashes: dict[str, hashlib._Hash] = {}

    def open(self, stream: StreamInfo) -> int | None:
        """Begin."""
        self._hashes.setdefault(stream.id, hashlib.sha256())
        return None

    def write(self, chunk: Chunk) -> None:
        """Take it."""
        self._hashes[chunk.stream.id].update(chunk.data)

    def close(self, stream: StreamInfo, end: End) -> None:
        """Compare."""
        self.checked += 1
        self.wrong += not end.complete or self._hashes.pop(stream.id).hexdigest() != end.sha256


class Slow(Checking):
    """Takes its time for each call."""

    name = "slow"

    def write(self, chunk: Chunk) -> None:
        """Take it, slowly."""
        time.sleep(0.002)
        super().write(chunk)


class Flaky(Checking):
    """Fails now and then before it has taken a piece, and takes it the next time."""

    name = "flaky"

    def write(self, chunk: Chunk) -> None:
        """Take it, or not."""
        if random.random() < 0.01:
            raise Retryable("not now", after=0.0)
        super().write(chunk)


class Raising(Sink):
    """Refuses each stream in the middle."""

    name = "raising"

    def write(self, chunk: Chunk) -> None:
        """Take the beginning."""
        if chunk.offset > 100:
            raise ValueError("enough")


class Hung(Sink):
    """Does not return from its first write until it is let go."""

    name = "hung"

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def write(self, chunk: Chunk) -> None:
        """Hang."""
        self.gate.wait()


def resident() -> float:
    """MiB that this process holds in memory; the most that it ever did where the system does not say."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Producer:
    """Writes to many streams in turn, each of them to its end."""

    def __init__(self, fan: Fan, concurrent: int) -> None:
        self.opened = 0
        self.bytes = 0
        self._fan = fan
        self._open: list[tuple[Stream, int]] = []
        self._concurrent = concurrent

    def run(self, chunks: int) -> Iterator[int]:
        """Write so many chunks; says after each round how many there were."""
        written = 0
        while written < chunks:
            while len(self._open) < self._concurrent:
                self._open.append((self._fan.open(), random.randint(1, 2 * CHUNKS_EACH)))
                self.opened += 1
            self._open = [(stream, left - 1) for stream, left in self._open if self._write(stream, left)]
            written += self._concurrent
            yield written
        for stream, _ in self._open:
            self._finish(stream)

    def _write(self, stream: Stream, left: int) -> bool:
        stream.write(random.choice(WORDS))
        if left > 1:
            return True
        self._finish(stream)
        return False

    def _finish(self, stream: Stream) -> None:
        if random.random() < CANCELLED:
            stream.cancel("enough")
        stream.end()
        self.bytes += stream.length


def main() -> None:
    """Run, print memory as it goes, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} chunks instead of {CHUNKS:,}")
    parser.add_argument("--chunks", type=int, help="how many chunks to publish")
    parser.add_argument("--streams", type=int, default=CONCURRENT, help="how many streams are open at a time")
    options = parser.parse_args()
    chunks = options.chunks or (QUICK if options.quick else CHUNKS)
    # The ill sinks' complaints are what this is about.
    logging.getLogger("streamfan").setLevel(logging.CRITICAL)
    healthy, hung = [Checking(), Slow(), Flaky()], Hung()
    fan = Fan()
    for sink in healthy:
        # A slow consumer that this program does not outrun: text that nobody has taken yet is no leak.
        fan.add(sink, lane=LaneOptions(buffer_bytes=2**20, when_full="block"))
    fan.add(Raising())
    fan.add(hung, lane=LaneOptions(buffer_bytes=2**18, call_timeout=1))
    producer = Producer(fan, options.streams)
    begun, step, samples = time.monotonic(), max(options.streams, chunks // LINES), [resident()]
    print(f"{'chunks':>12}{'streams':>10}{'finished':>10}{'MiB':>8}{'s':>8}")
    for written in producer.run(chunks):
        if written // step > (written - options.streams) // step:
            samples.append(resident())
            finished = fan.report.finished
            seconds = time.monotonic() - begun
            print(f"{written:>12,}{producer.opened:>10,}{finished:>10,}{samples[-1]:>8.1f}{seconds:>8.1f}", flush=True)
    fan.close()
    hung.gate.set()
    _tell(fan, healthy, producer, samples)


def _tell(fan: Fan, healthy: list[Checking], producer: Producer, samples: list[float]) -> None:
    settled = samples[int(SETTLING * len(samples)) :]
    print(f"\n{producer.opened:,} streams, {producer.bytes:,} bytes; {fan.report.finished:,} finished everywhere")
    for sink in fan.report.sinks:
        error = (sink.error or "").partition("\n")[0]
        counts = f"{sink.complete:>10,} complete{sink.missing:>14,} bytes missing{sink.retries:>10,} retries"
        print(f"  {sink.id:10}{sink.state!s:10}{counts}  {error}")
    wrong = sum(sink.wrong + producer.opened - sink.checked for sink in healthy)
    print(f"streams that a healthy sink lacks, or holds otherwise: {wrong:,}")
    first, last, most = settled[0], settled[-1], max(settled)
    print(f"memory: {first:.1f} MiB after the first quarter, {last:.1f} at the end, {most:.1f} at most")
    if wrong or fan.report.finished != producer.opened:
        sys.exit("something was lost")


if __name__ == "__main__":
    main()
