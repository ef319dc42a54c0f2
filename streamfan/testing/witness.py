"""A sink in front of the one under test: it sees every call that a lane makes, and can spoil one of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from streamfan.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, StreamInfo

T = TypeVar("T")

Moment = Literal["before", "after"]
"""Whether a call is spoilt before it reaches the sink under test, or when its reply is on the way back."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """What is done about the first call of a method.

    Attributes:
        act: Does it; what it raises is what the lane sees.
        stream: Only a call about the stream with this id.
    """

    method: str
    moment: Moment
    act: Callable[[], object]
    stream: str | None = None


@dataclass(slots=True)
class Written:
    """A call of `write` that reached the sink under test; `returned` says how it went there."""

    chunk: Chunk
    returned: bool = False


@dataclass(slots=True)
class Seen:
    """What a witness has seen.

    Attributes:
        calls: The methods that the lane called, in order, by name.
        raised: What the sink under test has raised by itself, by method.
    """

    calls: list[str] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    raised: list[tuple[str, BaseException]] = field(default_factory=list)


class Witness(Sink):
    """Passes every call on, but for the one that it spoils.

    Attributes:
        seen: What has happened so far.
        gone: Set when the sink was disconnected.
    """

    name = "witness"

    def __init__(self, sink: Sink, spoil: Spoil | None = None) -> None:
        super().__init__(sink.target)
        self.delivery = sink.delivery
        self.heartbeat = sink.heartbeat
        self.lane_defaults = sink.lane_defaults
        self.seen = Seen()
        self.gone = threading.Event()
        self._sink = sink
        self._spoil = spoil

    def connect(self) -> None:
        """Pass it on."""
        self._pass("connect", None, self._sink.connect)

    def open(self, stream: StreamInfo) -> int | None:
        """Pass it on."""
        return self._pass("open", stream, lambda: self._sink.open(stream))

    def write(self, chunk: Chunk) -> None:
        """Pass it on, and note it."""
        self._pass("write", chunk.stream, lambda: self._write(chunk))

    def beat(self, stream: StreamInfo) -> None:
        """Pass it on."""
        self._pass("beat", stream, lambda: self._sink.beat(stream))

    def close(self, stream: StreamInfo, end: End) -> None:
        """Pass it on."""
        self._pass("close", stream, lambda: self._sink.close(stream, end))

    def disconnect(self) -> None:
        """Pass it on."""
        try:
            self._pass("disconnect", None, self._sink.disconnect)
        finally:
            self.gone.set()

    def size(self, text: str) -> int:
        """What the sink under test says."""
        return self._sink.size(text)

    def _write(self, chunk: Chunk) -> None:
        self.seen.written.append(written := Written(chunk))
        self._sink.write(chunk)
        written.returned = True

    def _pass(self, method: str, stream: StreamInfo | None, call: Callable[[], T]) -> T:
        self.seen.calls.append(method)
        spoil = self._due(method, stream)
        if spoil is not None and spoil.moment == "before":
            spoil.act()
        try:
            returned = call()
        except BaseException as error:
            self.seen.raised.append((method, error))
            raise
        if spoil is not None and spoil.moment == "after":
            spoil.act()
        return returned

    def _due(self, method: str, stream: StreamInfo | None) -> Spoil | None:
        spoil = self._spoil
        if spoil is None or spoil.method != method:
            return None
        if spoil.stream is not None and (stream is None or stream.id != spoil.stream):
            return None
        self._spoil = None
        return spoil
