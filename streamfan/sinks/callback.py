"""Sinks that call the program itself: a function, or the methods of an object; coroutine functions too."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal, Protocol, overload, runtime_checkable

from streamfan.errors import Permanent, SinkClosed, StreamFailed, UsageError
from streamfan.events import Start, Text
from streamfan.loop import LoopThread
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, Event, Gap, StreamInfo


class Calling(Sink):
    """What sinks that call the program have in common: how they call it, and what becomes of errors."""

    name = "callback"
    delivery = Delivery.AT_MOST_ONCE
    # Texts alone do not tell whose they are.
    lane_defaults = LaneOptions(linger=0.0, sequential=True)
    _loop: LoopThread | None = None

    def disconnect(self) -> None:
        if self._loop is not None:
            self._loop.stop()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            returned = function(*arguments)
            if inspect.iscoroutine(returned):
                self._loop = self._loop or LoopThread(f"streamfan-{self.name}-loop")
                self._loop.run(returned)
        except SinkClosed:
            raise
        except Exception as error:
            # A lane would retry a ConnectionError; only the function knows whether it may be called again.
            raise Permanent(f"{_name(function)} raised {error!r}") from error


class Callback(Calling):
    """Calls a function with what is generated, on a thread of its own: it may block, nobody else waits for it.

    What the function returns is ignored, but for a coroutine: that is awaited in an event loop in another thread, which
    goes on between calls. What it raises ends this stream for this function alone; `SinkClosed` ends all streams for
    it, and is no failure.

    Args:
        function: Called as `function(text, False)` for every chunk and as `function("", True)` at the end of every
            stream, however it ended; one stream follows the other.
        events: Call `function(event)` instead: a `Start`, then a `Text` for every chunk, then an `End`. Several streams
            may be under way at a time. Where the lane option `when_full` is `skip` there may be a `Gap` for a `Text`.

    Raises:
        UsageError: `function` cannot be called.
    """

    @overload
    def __init__(self, function: Callable[[str, bool], object], events: Literal[False] = False) -> None: ...

    @overload
    def __init__(self, function: Callable[[Event], object], events: Literal[True]) -> None: ...

    def __init__(self, function: Callable[..., object], events: bool = False) -> None:
        super().__init__()
        if not callable(function):
            raise UsageError(f"a callback must be callable, got {function!r}")
        self._function = function
        self._events = events
        self.accepts_gaps = events
        if events:
            self.lane_defaults = LaneOptions(linger=0.0)

    @property
    def label(self) -> str:
        """The function's name."""
        return _name(self._function)

    def open(self, stream: StreamInfo) -> None:
        if self._events:
            self._call(self._function, Start.of(stream))

    def write(self, chunk: Chunk) -> None:
        if self._events:
            self._call(self._function, Text.of(chunk))
        else:
            self._call(self._function, chunk.text, False)

    def gap(self, gap: Gap) -> None:
        self._call(self._function, gap)

    def close(self, stream: StreamInfo, end: End) -> None:
        if self._events:
            self._call(self._function, end)
        else:
            self._call(self._function, "", True)


@runtime_checkable
class Listener(Protocol):
    """An object that is told what happens; it may also have `on_complete()` and `on_error(error)`."""

    def on_token(self, text: str) -> object:
        """Take a piece of text: a token's, or that of several where they come faster than this returns."""


class ListenerSink(Calling):
    """Calls the methods of an object, as `Callback` calls a function; one stream follows the other.

    `on_token(text)` for every chunk; then either `on_complete()`, also after a cancellation, or `on_error(error)` with
    a `StreamFailed`: the producer has failed, or not all of the text has come here.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    @property
    def label(self) -> str:
        """The name of its class."""
        return _name(self._listener)

    def write(self, chunk: Chunk) -> None:
        self._call(self._listener.on_token, chunk.text)

    def close(self, stream: StreamInfo, end: End) -> None:
        error: StreamFailed | None = None
        if end.error is not None:
            error = StreamFailed(stream.id, end.error.type, end.error.message)
        elif not end.complete:
            error = StreamFailed(stream.id, "Incomplete", "not all of its text was delivered here")
        if error is None and (on_complete := getattr(self._listener, "on_complete", None)):
            self._call(on_complete)
        elif error is not None and (on_error := getattr(self._listener, "on_error", None)):
            self._call(on_error, error)


def _name(function: object) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
