"""Millions of chunks through streams that come and go, to sinks with every kind of illness: is anything lost, or kept?

200 streams are open at a time; each ends after some chunks, and another takes its place. Four sinks must hold every
byte, whatever happens to them: one that is slow, one whose calls fail and block in every way that may pass, files of
events that are rotated and compressed, and a webhook whose receiver is killed again and again. The others are ill for
good; of those the reports must account for every byte. Memory must stay flat.

It exits with 1 where anything is lost or kept.

    python benchmarks/soak.py [--quick] [--chunks N] [--streams N]
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gzip
import hashlib
import itertools
import logging
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamfan import Delivery, Fan, LaneOptions, Retryable, Sink
from streamfan.errors import WireError
from streamfan.events import End, Text, decode
from streamfan.sinks.file import FileOptions, FileSink
from streamfan.sinks.webhook import WebhookSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streamfan import Chunk, StreamInfo
    from streamfan.stream import Stream

CHUNKS = 5_000_000
QUICK = 20_000
CONCURRENT = 200
# On average; streams differ in length.
CHUNKS_EACH = 250
CANCELLED = 0.05
WORDS = [f"{word} " for word in "the quick brown fox — за рекой 日本 jumps over a lazy dog 😀".split()]
LINES = 20
# Before these the program still grows into its work: buffers, caches, the report's last 1,000 streams.
SETTLING = 0.25
# MiB that it may grow by after that: for a short run the report's last streams, for a whole one 1.5 KiB of each stream.
GROWTH = 24.0
METHODS = ("connect", "open", "write", "close")
ROTATE = 2**20
# A fault in so many calls.
EVERY = 23

# Slow consumers that this program does not outrun: text that nobody has taken yet is no leak.
PATIENT = LaneOptions(buffer_bytes=2**20, when_full="block")
IMPATIENT = LaneOptions(buffer_bytes=2**16, call_timeout=0.5, connect_timeout=0.5, max_elapsed=0.5)


@dataclass(slots=True)
class Held:
    """What a destination holds of a stream."""

    length: int = 0
    hash: Any = field(default_factory=hashlib.sha256)
    ended: bool = False


class Checking(Sink):
    """A sink and its destination: holds each stream until it is closed, and counts those that are as they should be.

    Attributes:
        proven: Streams that were held as their ends say.
    """

    name = "checking"
    delivery = Delivery.EXACTLY_ONCE

    def __init__(self) -> None:
        super().__init__()
        self.proven = 0
        self._held: dict[str, Held] = {}

    def open(self, stream: StreamInfo) -> int | None:
        """Say what is there."""
        return self._held.setdefault(stream.id, Held()).length

    def write(self, chunk: Chunk) -> None:
        """Take it."""
        held = self._held[chunk.stream.id]
        if chunk.offset == held.length:
            held.hash.update(chunk.data)
            held.length = chunk.end

    def close(self, stream: StreamInfo, end: End) -> None:
        """Compare, and forget."""
        self.compare(stream, end)
        del self._held[stream.id]

    def compare(self, stream: StreamInfo, end: End) -> None:
        """Compare, unless that was done."""
        held = self._held[stream.id]
        if not held.ended:
            held.ended = True
            self.proven += end.complete and held.hash.hexdigest() == end.sha256


class Slow(Checking):
    """Takes its time for each call."""

    name = "slow"

    def write(self, chunk: Chunk) -> None:
        """Take it, slowly."""
        time.sleep(0.002)
        super().write(chunk)


class Troubled(Checking):
    """Each call may fail, before the destination has heard of it or after, or take long.

    Attributes:
        faults: How often each fault has come.
    """

    name = "troubled"
    _FAULTS: tuple[tuple[str, Callable[[], object]], ...] = (
        ("refused", lambda: _fail(ConnectionRefusedError("refused"))),
        ("reset", lambda: _fail(ConnectionResetError("reset"))),
        ("timeout", lambda: _fail(TimeoutError("timed out"))),
        ("disk full", lambda: _fail(OSError(errno.ENOSPC, "no space left on device"))),
        ("not now", lambda: _fail(Retryable("not now", after=0.0))),
        ("blocked", lambda: time.sleep(0.02)),
    )

    def __init__(self) -> None:
        super().__init__()
        self.faults = Counter[str]()
        # The connection's faults come at once, for there is one connection.
        self._calls = itertools.count(EVERY - 1)
        self._turns = itertools.cycle(itertools.product(("before", "after"), self._FAULTS))

    def connect(self) -> None:
        """Connect."""
        with self._trouble("connect"):
            pass

    def open(self, stream: StreamInfo) -> int | None:
        """Say what is there."""
        with self._trouble("open"):
            return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        """Take it."""
        with self._trouble("write"):
            super().write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        """Compare, and forget once whoever asks for it has heard of it."""
        with self._trouble("close"):
            self.compare(stream, end)
        del self._held[stream.id]

    @contextlib.contextmanager
    def _trouble(self, method: str) -> Iterator[None]:
        turn = next(self._turns) if next(self._calls) % EVERY == EVERY - 1 else None
        if turn is None:
            yield
            return
        moment, (what, fault) = turn
        self.faults.update([f"{what} {moment}", f"in {method}"])
        if moment == "before":
            fault()
        yield
        if moment == "after":
            fault()


class Ill(Sink):
    """Does something else in one of its methods, always, and takes the rest.

    Args:
        act: What it does; given what the method is given.
    """

    name = "ill"

    def __init__(self, method: str, act: Callable[..., object]) -> None:
        super().__init__(method)
        setattr(self, method, act)

    def write(self, chunk: Chunk) -> None:
        """Take it."""


def _refuse_the_middle(chunk: Chunk) -> None:
    if chunk.offset > 100:
        raise ValueError("enough")


def _fail(error: BaseException) -> None:
    raise error


class Receiver:
    """The process that receives what the webhook sends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kills = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it; the sink waits for it."""
        program = Path(__file__).with_name("receiver.py")
        self._process = subprocess.Popen([sys.executable, "-I", program, str(self.port), self.path])

    def kill(self) -> None:
        """Give it no time to finish anything."""
        self._process.kill()
        self._process.wait()
        self.kills += 1


class Producer:
    """Writes to many streams in turn, each of them to its end."""

    def __init__(self, fan: Fan, concurrent: int) -> None:
        self.opened = 0
        self.bytes = 0
        self.concurrent = concurrent
        self._fan = fan
        self._open: list[tuple[Stream, int]] = []

    def run(self, chunks: int) -> Iterator[int]:
        """Write so many chunks; says after each round how many there were."""
        written = 0
        while written < chunks:
            while len(self._open) < self.concurrent:
                self._open.append((self._fan.open(), random.randint(1, 2 * CHUNKS_EACH)))
                self.opened += 1
            self._open = [(stream, left - 1) for stream, left in self._open if self._write(stream, left)]
            written += self.concurrent
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


class Soak:
    """A fan with all of these sinks, and what they must hold.

    Attributes:
        troubled: The one whose faults pass.
    """

    def __init__(self, folder: Path) -> None:
        self.fan = Fan()
        self.receiver = Receiver(folder / "received.jsonl")
        self.troubled = Troubled()
        self._checking: list[Checking] = [Checking(), Slow(), self.troubled]
        self._folder = folder
        # Those that hang are let go when all is over.
        self._gate = threading.Event()
        self._add_healthy()
        self._add_ill()

    def _add_healthy(self) -> None:
        events = FileOptions(format="jsonl", rotate_bytes=ROTATE, gzip=True)
        file = FileSink(str(self._folder / "events.jsonl"), events)
        webhook = WebhookSink(f"http://127.0.0.1:{self.receiver.port}/")
        for sink in (*self._checking, file, webhook):
            self.fan.add(sink, lane=PATIENT)

    def _add_ill(self) -> None:
        illnesses: dict[str, tuple[str, Callable[..., object]]] = {
            "unreachable": ("connect", lambda: _fail(ConnectionRefusedError("refused"))),
            "unopened": ("open", lambda _: _fail(ValueError("enough"))),
            "weary": ("write", _refuse_the_middle),
            "unclosed": ("close", lambda *_: _fail(ValueError("enough"))),
            "lying": ("open", lambda _: 10**9),
            **{f"hung{method}": (method, lambda *_: self._gate.wait()) for method in METHODS},
        }
        for id, (method, act) in illnesses.items():
            self.fan.add(Ill(method, act), id=id, lane=IMPATIENT)
        if Path("/dev/full").exists():
            self.fan.add(FileSink("/dev/full", FileOptions(format="jsonl")), id="full", lane=IMPATIENT)

    def close(self) -> None:
        """Deliver what there is."""
        self.fan.close()
        self.receiver.kill()
        self._gate.set()

    def proven(self) -> Iterator[tuple[str, int]]:
        """For each sink that must hold everything, of how many streams it does."""
        for sink in self._checking:
            yield sink.name, sink.proven
        # The names of those that were rotated have the time in them, and sort before the last one.
        yield "file", proven(itertools.chain(*map(_lines, sorted(self._folder.glob("events*")))))
        yield "webhook", proven(_lines(self.receiver.path))


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        yield from lines


def proven(lines: Iterable[bytes]) -> int:
    """How many streams are whole in these events, read by the rule of the wire format; a kill may have torn a line."""
    held: dict[str, Held] = {}
    for line in lines:
        with contextlib.suppress(WireError):
            event = decode(line)
            there = held.setdefault(event.stream, Held())
            if isinstance(event, Text) and event.offset == there.length:
                there.hash.update(event.text.encode())
                there.length = event.end
            elif isinstance(event, End):
                there.ended = event.complete and event.sha256 == there.hash.hexdigest()
    return sum(there.ended for there in held.values())


def resident() -> float:
    """MiB that this process holds in memory; the most that it ever did where the system does not say."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


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
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(Soak(Path(folder))) as soak:
            producer = Producer(soak.fan, options.streams)
            samples = list(_published(soak, producer, chunks))
        sys.exit("\n".join(_told(soak, producer, samples)) or None)


def _published(soak: Soak, producer: Producer, chunks: int) -> Iterator[float]:
    """Publish it all, and kill the receiver now and then; gives the memory held after each part of the way."""
    begun, step = time.monotonic(), max(producer.concurrent, chunks // LINES)
    print(f"{'chunks':>12}{'streams':>10}{'finished':>10}{'MiB':>8}{'s':>8}")
    for written in producer.run(chunks):
        if written // step == (written - producer.concurrent) // step:
            continue
        soak.receiver.kill()
        soak.receiver.start()
        memory, finished, seconds = resident(), soak.fan.report.finished, time.monotonic() - begun
        print(f"{written:>12,}{producer.opened:>10,}{finished:>10,}{memory:>8.1f}{seconds:>8.1f}", flush=True)
        yield memory


def _told(soak: Soak, producer: Producer, samples: list[float]) -> Iterator[str]:
    """Print what has become of it all; gives what is wrong."""
    report = soak.fan.report
    print(f"\n{producer.opened:,} streams, {producer.bytes:,} bytes; {report.finished:,} finished everywhere")
    for sink in report.sinks:
        error = (sink.error or "").partition("\n")[0]
        counts = f"{sink.complete:>10,} complete{sink.missing:>14,} bytes missing{sink.retries:>10,} retries"
        print(f"  {sink.id:12}{sink.state!s:8}{counts}  {error}")
        if sink.bytes + sink.missing != producer.bytes:
            yield f"{sink.id}: {producer.bytes - sink.bytes - sink.missing:,} bytes are neither delivered nor missing"
    print(f"the receiver was killed {soak.receiver.kills} times; faults of the troubled sink:")
    print("  " + ", ".join(f"{what} {count:,}" for what, count in sorted(soak.troubled.faults.items())))
    for name, count in soak.proven():
        print(f"{name} holds {count:,} streams as they were")
        if count != producer.opened:
            yield f"{name}: {producer.opened - count:,} streams were lost"
    if report.finished != producer.opened:
        yield f"{producer.opened - report.finished:,} streams are not finished"
    settled = samples[int(SETTLING * len(samples)) :]
    grown = max(settled) - settled[0]
    print(f"memory: {settled[0]:.1f} MiB after the first quarter, {max(settled):.1f} at most, {GROWTH:g} more allowed")
    if grown > GROWTH:
        yield f"memory has grown by {grown:.1f} MiB"


if __name__ == "__main__":
    main()
