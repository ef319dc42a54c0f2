"""A sink that shows how far it has come, on stderr."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import Field

from streamfan.errors import SinkClosed, SpecError
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions, Seconds
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.progress.drawing import row, words
from streamfan.sinks.progress.reading import Watched, read
from streamfan.statusline import SCREEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.sinks.progress.reading import Reading

# As often as an eye follows numbers.
_LIVE = 0.1


class ProgressOptions(SinkOptions):
    """The options of `ProgressSink`."""

    every: Seconds = Field(
        default=5.0, description="How often to print a line where stderr is no terminal; one comes at each end too."
    )


class ProgressSink(Sink):
    """Shows on stderr how many tokens there are of how many, how fast they come, and how far behind each sink is.

    On a terminal that is one line at its bottom, live while a stream is open, and gone after it; text that the `stdout`
    sink writes to the same terminal goes on above it, undisturbed. Elsewhere it is a plain line now and then.

    Where every other sink has left, it leaves too: it is no reason to generate on.
    """

    name = "progress"
    Options = ProgressOptions
    delivery = Delivery.AT_MOST_ONCE
    heartbeat = _LIVE
    lane_defaults = LaneOptions(required=False, linger=_LIVE)
    options: ProgressOptions

    def __init__(self, target: str | None = None, options: ProgressOptions | None = None) -> None:
        if target is not None:
            raise SpecError(f"sink 'progress' takes no target, got {target!r}\nTry: progress")
        super().__init__(target, options)
        self._open: dict[tuple[str, int], int] = {}
        self._watched: dict[tuple[str, int], Watched] = {}
        self._due = 0.0

    def open(self, stream: StreamInfo) -> int:
        key = (stream.id, stream.attempt)
        if not self._open:
            self._watched.clear()
            self._due = monotonic() + (0.0 if SCREEN.width else self.options.every)
        self._open.setdefault(key, 0)
        self._watched.setdefault(key, Watched(stream.id, stream.attempt, stream.max_tokens, monotonic()))
        return self._open[key]

    def write(self, chunk: Chunk) -> None:
        self._open[chunk.stream.id, chunk.stream.attempt] = chunk.end
        self._show()

    def beat(self, stream: StreamInfo) -> None:
        self._show()

    def close(self, stream: StreamInfo, end: End) -> None:
        self._open.pop((stream.id, stream.attempt), None)
        if not self._open:
            self._finish()

    def disconnect(self) -> None:
        SCREEN.hide()

    def _finish(self) -> None:
        SCREEN.hide()
        if not _on_terminal() and (reading := self._read()) is not None:
            _print(words(reading))

    def _show(self) -> None:
        if monotonic() < self._due:
            return
        reading = self._read()
        if reading is None:
            return
        if width := SCREEN.width if _on_terminal() else 0:
            self._due = monotonic() + _LIVE
            SCREEN.show(row(reading, width))
        else:
            self._due = monotonic() + self.options.every
            _print(words(reading))

    def _read(self) -> Reading | None:
        report = self.fan_report() if self.fan_report is not None else None
        if report is None or not self._watched:
            return None
        others = [sink for sink in report.sinks if sink.name != self.name]
        if others and all(sink.left for sink in others):
            raise SinkClosed("every other sink has left")
        return read(report, self._watched.values(), monotonic(), without=self.name)


def _on_terminal() -> bool:
    """Whether a line can be kept on stderr; not where the terminal understands no commands."""
    return bool(SCREEN.width) and os.environ.get("TERM") != "dumb"


def _print(line: str) -> None:
    if sys.stderr is None:
        raise SinkClosed("stderr is closed")
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError) as error:
        # Not for long on a full disk either: what was not shown in time is of no use later.
        raise SinkClosed(f"stderr takes nothing: {error}") from None


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The progress sink."""
    return [ProgressSink]
