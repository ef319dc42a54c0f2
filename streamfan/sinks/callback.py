"""A sink that calls a function of the program itself."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal, overload

from streamfan.errors import Permanent, SinkClosed, UsageError
from streamfan.events import Start, Text
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, Event, Gap, StreamInfo


class Callback(Sink):
    """Calls a function with what is generated, on a thread of its own: it may block, nobody else waits for it.

    What the function returns is ignored. What it raises ends this stream for this function alone; `SinkClosed` ends all
    streams for it, and is no failure.

    Args:
        function: Called as `function(text, False)` for every chunk and as `function("", True)` at the end of every
            stream, however it ended; one stream follows the other.
        events: Call `function(event)` instead: a `Start`, then a `Text` for every chunk, then an `End`. Several streams
            may be under way at a time. Where the lane option `when_full` is `skip` there may be a `Gap` for a `Text`.

    Raises:
        UsageError: `function` cannot be called, or is a coroutine function.
    """

    name = "callback"
    delivery = Delivery.AT_MOST_ONCE
    lane_defaults = LaneOptions(linger=0.0)

    @overload
    def __init__(self, function: Callable[[str, bool], object], events: Literal[False] = False) -> None: ...

    @overload
    def __init__(self, function: Callable[[Event], object], events: Literal[True]) -> None: ...

    def __init__(self, function: Callable[..., object], events: bool = False) -> None:
        super().__init__()
        _refuse_what_cannot_be_called(function)
        self._function = function
        self._events = events
        self.accepts_gaps = events
        if not events:
            # Without an event there is no telling whose text it is.
            self.lane_defaults = LaneOptions(sequential=True).over(self.lane_defaults)

    @property
    def label(self) -> str:
        """The function's name."""
        return _name(self._function)

    def open(self, stream: StreamInfo) -> None:
        if self._events:
            self._call(Start.of(stream))

    def write(self, chunk: Chunk) -> None:
        if self._events:
            self._call(Text.of(chunk))
        else:
            self._call(chunk.text, False)

    def gap(self, gap: Gap) -> None:
        self._call(gap)

    def close(self, stream: StreamInfo, end: End) -> None:
        if self._events:
            self._call(end)
        else:
            self._call("", True)

    def _call(self, *arguments: object) -> None:
        try:
            self._function(*arguments)
        except SinkClosed:
            raise
        except Exception as error:
            # A lane would retry a ConnectionError; only the function knows whether it may be called again.
            raise Permanent(f"{_name(self._function)} raised {error!r}") from error


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


def _refuse_what_cannot_be_called(function: object) -> None:
    if not callable(function):
        raise UsageError(f"a callback must be callable, got {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise UsageError(
            f"callback {_name(function)!r} is a coroutine function, and would never be awaited\n"
            "Try: a subclass of streamfan.AsyncSink"
        )
