"""One stream for each line of a text that comes in pieces; a line is published as it comes, before its end."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from streamfan.detokenize import StopStrings
from streamfan.errors import SourceError, StreamEnded
from streamfan.lifetime import next_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamfan.fan import Fan
    from streamfan.stream import Stream

# How many lines a sink that works may have before it: beyond that it is the input that waits.
_AHEAD = 1_000
_LOOK = 0.02


class Lines:
    """Publishes lines as `<run>-<number>`, each with its end.

    Args:
        stop: Texts that end a line's stream, each; what follows them in the line is dropped.
    """

    def __init__(self, fan: Fan, stop: Sequence[str]) -> None:
        self._fan = fan
        self._stop = stop
        self._run = next_id()
        self._number = 0
        self._stream: Stream | None = None
        self._stops = StopStrings(())

    def publish(self, texts: Iterable[str]) -> None:
        """Publish all lines, or as many as there are when the fan is told to stop.

        Raises:
            SourceError: The text broke off between two lines.
        """
        try:
            for text in texts:
                for piece in _pieces(text):
                    if self._stream is None and not self._may_begin():
                        return
                    self._take(piece)
        except OSError as error:
            broken = SourceError(f"standard input cannot be read any further: {error}")
            if self._stream is None:
                raise broken from error
            self._stream.fail(broken)
        if self._stream is not None:
            self._end(self._stream)

    def _take(self, piece: str) -> None:
        if self._stream is None:
            self._stream = self._begin()
        stream = self._stream
        # Dropped where the stream is over before its line.
        if not stream.ended:
            self._write(stream, piece)
        if piece.endswith("\n"):
            self._end(stream)

    def _may_begin(self) -> bool:
        """Wait until sinks are not too far behind; False where all is to stop."""
        while self._fan.behind(_AHEAD) and not self._fan.cancelled:
            sleep(_LOOK)
        return not self._fan.cancelled

    def _begin(self) -> Stream:
        self._number += 1
        self._stops = StopStrings(self._stop)
        return self._fan.open(f"{self._run}-{self._number}", meta={"line": self._number})

    def _write(self, stream: Stream, piece: str) -> None:
        if stream.cancelled is not None:
            stream.end()
            return
        try:
            stream.write(self._stops.push(piece))
        except StreamEnded:
            # Somebody else ended it: the rest of this line is not wanted.
            return
        if self._stops.matched is not None:
            stream.end()

    def _end(self, stream: Stream) -> None:
        if not stream.ended and stream.cancelled is None:
            stream.write(self._stops.finish())
        stream.end()
        self._stream = None


def _pieces(text: str) -> list[str]:
    """The parts of a text that lie in one line each; nothing but a newline ends one."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
