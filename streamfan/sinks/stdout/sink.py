"""A sink that writes to standard output, each chunk as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pydantic import Field

from streamfan.errors import SpecError
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.stdout.output import output_of
from streamfan.statusline import SCREEN
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.sinks.stdout.output import Output


class StdoutOptions(SinkOptions):
    """The options of `StdoutSink`."""

    raw: bool = Field(default=False, description="Leave control characters as they are, also on a terminal.")


class StdoutSink(Sink):
    """Writes streams to standard output, one after the other; each chunk is out when `write` returns.

    If it is no terminal, the bytes of the text are written as they are: those of a single stream have its sha256. A
    stream that follows another one begins on a new line. On a terminal, control characters other than newline and tab
    are shown instead of obeyed, and if the last line of a stream has no end, a newline is added.

    If the reader of a pipe has gone, `SinkClosed` is raised, and what the program prints to stdout from then on is
    dropped. The sink knows which bytes are out, so that after an error no text is missing or there twice; only where
    `sys.stdout` has no file descriptor, as in notebooks, the stream fails here.
    """

    name = "stdout"
    Options = StdoutOptions
    delivery = Delivery.AT_MOST_ONCE
    lane_defaults = LaneOptions(linger=0.0, sequential=True)
    options: StdoutOptions

    def __init__(self, target: str | None = None, options: StdoutOptions | None = None) -> None:
        if target is not None:
            raise SpecError(f"sink 'stdout' takes no target, got {target!r}\nTry: stdout, or file:PATH")
        super().__init__(target, options)
        self._held: dict[tuple[str, int], int] = {}
        self._at_line_start = True

    def connect(self) -> None:
        self._output: Output = output_of(sys.stdout)
        self._safe = self._output.terminal and not self.options.raw

    def open(self, stream: StreamInfo) -> int:
        key = (stream.id, stream.attempt)
        if key not in self._held:
            self._output.flush_printed()
        self._output.finish()
        return self._held.setdefault(key, 0)

    def write(self, chunk: Chunk) -> None:
        data = visible(chunk.text).encode() if self._safe else chunk.data
        if chunk.offset == 0 and not self._at_line_start:
            data = b"\n" + data
        # Set first: what a failed call leaves is kept, and is out before anything else is.
        self._held[chunk.stream.id, chunk.stream.attempt] = chunk.end
        self._at_line_start = data.endswith(b"\n")
        self._write(data)

    def close(self, stream: StreamInfo, end: End) -> None:
        if self._output.terminal and not self._at_line_start:
            self._at_line_start = True
            self._write(b"\n")
        self._held.pop((stream.id, stream.attempt), None)

    def _write(self, data: bytes) -> None:
        if not self._output.terminal:
            self._output.write(data)
            return
        with SCREEN.text(data.decode()):
            self._output.write(data)


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The standard output sink."""
    return [StdoutSink]
