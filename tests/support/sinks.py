"""Sinks that do one thing, right or wrong, and remember what they were called with."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from streamfan.options import LaneOptions
from streamfan.sink import Sink
from tests.support.faults import injects, patience, switched_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, StreamInfo

DEADLINE = patience(30.0)
"""Seconds that a test waits for what must happen, before it fails."""


def wait_for(event: threading.Event) -> None:
    """Wait for what must happen."""
    assert event.wait(DEADLINE), "it has not happened"


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what must come true; for conditions that nobody announces."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        threading.Event().wait(0.01)


class MemorySink(Sink):
    """Keeps all it is given, and a list of the calls made to it."""

    name = "memory"
    lane_defaults = LaneOptions(linger=0.0)

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.chunks: list[Chunk] = []
        self.ends: list[End] = []
        self.closed = threading.Event()
        self.written = threading.Event()

    def text(self, stream: str | None = None) -> str:
        """What it was given, of one stream or of all."""
        return "".join(chunk.text for chunk in self.chunks if stream in {None, chunk.stream.id})

    def connect(self) -> None:
        self.calls.append("connect")

    def open(self, stream: StreamInfo) -> int | None:
        self.calls.append("open")
        return None

    def write(self, chunk: Chunk) -> None:
        self.calls.append("write")
        self.chunks.append(chunk)
        self.written.set()

    def close(self, stream: StreamInfo, end: End) -> None:
        self.calls.append("close")
        self.ends.append(end)
        self.closed.set()

    def disconnect(self) -> None:
        self.calls.append("disconnect")


class GatedSink(MemorySink):
    """Blocks in the methods named, until `gate` is set."""

    name = "gated"

    def __init__(self, *blocking: str) -> None:
        super().__init__()
        self.blocking = blocking
        self.gate = threading.Event()
        self.inside = threading.Event()

    @injects
    def _pass(self, method: str) -> None:
        if method in self.blocking:
            self.inside.set()
            self.gate.wait()

    def connect(self) -> None:
        self._pass("connect")
        super().connect()

    def open(self, stream: StreamInfo) -> int | None:
        self._pass("open")
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        self._pass("write")
        super().write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._pass("close")
        super().close(stream, end)

    def disconnect(self) -> None:
        self._pass("disconnect")
        super().disconnect()


class FailingSink(MemorySink):
    """Asks, before each call, for an error to raise: `trouble(method, how many calls of it there were before)`."""

    name = "failing"

    def __init__(self, trouble: Callable[[str, int], BaseException | None]) -> None:
        super().__init__()
        self._trouble = trouble
        self._counts: dict[str, int] = {}
        self.troubled = threading.Event()

    @injects
    def _raise(self, method: str) -> None:
        before = self._counts.get(method, 0)
        self._counts[method] = before + 1
        error = self._trouble(method, before)
        if error is not None:
            self.calls.append(f"{method} failed")
            self.troubled.set()
            raise error

    def connect(self) -> None:
        self._raise("connect")
        super().connect()

    def open(self, stream: StreamInfo) -> int | None:
        self._raise("open")
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        self._raise("write")
        super().write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._raise("close")
        super().close(stream, end)

    def disconnect(self) -> None:
        self._raise("disconnect")
        super().disconnect()


def always(method: str, error: BaseException) -> Callable[[str, int], BaseException | None]:
    """`error` at every call of `method`."""
    return lambda called, _: error if called == method else None


def first(times: int, method: str, error: BaseException) -> Callable[[str, int], BaseException | None]:
    """`error` at the first `times` calls of `method`."""
    return lambda called, before: error if called == method and before < times else None


class HoldingSink(MemorySink):
    """Exactly once: `open` says how many bytes it holds; a write may keep only a part, and then fail."""

    name = "holding"

    def __init__(self, keep: Callable[[int], int | None]) -> None:
        super().__init__()
        self.held = bytearray()
        self._keep = keep
        self._writes = 0

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        return len(self.held)

    def write(self, chunk: Chunk) -> None:
        assert chunk.offset == len(self.held), "a hole, or text for the second time"
        keep = None if switched_off() else self._keep(self._writes)
        self._writes += 1
        if keep is None:
            self.held += chunk.data
            super().write(chunk)
            return
        cut = min(keep, len(chunk.data))
        while cut < len(chunk.data) and chunk.data[cut] & 0xC0 == 0x80:
            cut -= 1
        self.held += chunk.data[:cut]
        raise ConnectionResetError("cut off")
