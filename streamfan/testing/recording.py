"""A sink that keeps every call, for tests of programs that use a fan."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.options import LaneOptions
from streamfan.sink import Sink

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, StreamInfo


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a sink.

    Attributes:
        method: `connect`, `open`, `write`, `close` or `disconnect`.
        stream: Which stream it is about; None for the first and the last of these.
        chunk: What was written.
        end: What a stream was closed with.
    """

    method: str
    stream: StreamInfo | None = None
    chunk: Chunk | None = None
    end: End | None = None


class RecordingSink(Sink):
    """Keeps every call that is made to it, in order; any thread may look.

    sink = RecordingSink()
    with Fan(sink) as fan:
        my_program(fan)
    assert sink.text() == "Once upon a time"
    """

    name = "recording"
    lane_defaults = LaneOptions(linger=0.0)

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Call] = []
        self._news = threading.Condition()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls so far."""
        return tuple(self._calls)

    @property
    def methods(self) -> list[str]:
        """The names of the methods that were called."""
        return [call.method for call in self.calls]

    @property
    def streams(self) -> list[StreamInfo]:
        """The streams that were opened, each once."""
        return list({(each.id, each.attempt): each for each in (call.stream for call in self.calls) if each}.values())

    def chunks(self, stream: str | None = None) -> list[Chunk]:
        """What was written, of the stream with this id or of all."""
        chunks = (call.chunk for call in self.calls if call.chunk is not None)
        return [chunk for chunk in chunks if stream in {None, chunk.stream.id}]

    def text(self, stream: str | None = None) -> str:
        """The same, as one text."""
        return "".join(chunk.text for chunk in self.chunks(stream))

    def ends(self, stream: str | None = None) -> list[End]:
        """The end events, of the stream with this id or of all."""
        ends = (call.end for call in self.calls if call.end is not None)
        return [end for end in ends if stream in {None, end.stream}]

    def wait_for(self, method: str, count: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until `method` was called so many times.

        Raises:
            TimeoutError: It was not, within `timeout` seconds.
        """
        with self._news:
            if not self._news.wait_for(lambda: self.methods.count(method) >= count, timeout):
                called = self.methods
                raise TimeoutError(f"{method}() was called {called.count(method)} times, expected {count}: {called}")

    def connect(self) -> None:
        """Keep the call."""
        self._keep(Call("connect"))

    def open(self, stream: StreamInfo) -> int | None:
        """Keep the call; says nothing of what is held."""
        self._keep(Call("open", stream))
        return None

    def write(self, chunk: Chunk) -> None:
        """Keep the chunk."""
        self._keep(Call("write", chunk.stream, chunk))

    def close(self, stream: StreamInfo, end: End) -> None:
        """Keep the end."""
        self._keep(Call("close", stream, end=end))

    def disconnect(self) -> None:
        """Keep the call."""
        self._keep(Call("disconnect"))

    def _keep(self, call: Call) -> None:
        with self._news:
            self._calls.append(call)
            self._news.notify_all()
