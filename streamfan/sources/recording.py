"""Recorded streams, published again: `streamfan run --source recording:FILE`, or `streamfan replay FILE`.

They have the ids, attempts and offsets that they had, so that whoever has some of them already can tell.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import Field

from streamfan.errors import SourceError, StreamEnded, UsageError
from streamfan.events import End, Gap, Start, Text
from streamfan.hookspecs import hookimpl
from streamfan.recording import lines
from streamfan.source import Source, SourceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import IO

    from streamfan.events import Event
    from streamfan.fan import Fan
    from streamfan.recording import Line
    from streamfan.source import Request
    from streamfan.stream import Stream

log = logging.getLogger("streamfan.sources.recording")

# How often a pause between two streams is looked up from.
_LOOK = 0.1


class RecordingOptions(SourceOptions):
    """The options of the `recording` source."""

    speed: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="1 is the rhythm it was recorded in, 2 twice as fast; 0 is all at once.",
    )


class RecordingSource(Source):
    """Publishes the streams of a recording: lines of JSON, as `format=jsonl` of the `file` sink writes them.

    A damaged line is named in the log, and left out. A stream that lacks some of its text ends as `error` where that
    is, and so does one without an end, or whose text is not what its end says.
    """

    name = "recording"
    Options = RecordingOptions
    options: RecordingOptions

    def __init__(self, target: str | None = None, options: RecordingOptions | None = None) -> None:
        super().__init__(target, options)
        if not target:
            raise UsageError("source 'recording' needs a file\nTry: recording:FILE, or streamfan replay FILE")
        self._path = Path(target)
        self._file: IO[bytes] | None = None

    def load(self, request: Request) -> None:
        """Publishes nothing.

        Raises:
            UsageError: The file cannot be read.
        """
        try:
            # Once only: what is read of a pipe, or its end, does not come again.
            self._file = self._path.open("rb")
        except OSError as error:
            raise UsageError(f"recording {str(self._path)!r} cannot be read: {error.strerror}") from None

    def run(self, fan: Fan, request: Request) -> None:
        """Publishes the recording, to its end or until somebody asks for an early one.

        Raises:
            SourceError: There is no stream in it.
        """
        player = _Player(fan, str(self._path), self.options.speed)
        file, self._file = self._file or self._path.open("rb"), None
        try:
            with file:
                for line in lines(file):
                    if player.over:
                        break
                    player.play(line)
        finally:
            player.finish()
        if not (player.streams or fan.cancelled):
            raise SourceError(f"recording {str(self._path)!r} has no stream in it")


class _Player:
    """Publishes one recording.

    Args:
        name: The file's, for people.
        speed: See `RecordingOptions`.

    Attributes:
        streams: What was published, by id and attempt.
    """

    def __init__(self, fan: Fan, name: str, speed: float) -> None:
        self._fan = fan
        self._name = name
        self._speed = speed
        self.streams: dict[tuple[str, int], Stream] = {}
        self._cancelled = threading.Event()
        self._began: tuple[float, datetime] | None = None

    @property
    def over(self) -> bool:
        """Whether nobody wants the rest: everything was asked to stop, and has."""
        return self._fan.cancelled and not self._playing

    def play(self, line: Line) -> None:
        """Publish the event of a line, when it is time to."""
        event = line.event
        if event is None:
            self._leave_out(line, line.damage)
            return
        stream = self.streams.get((event.stream, event.attempt))
        if not isinstance(event, Gap):
            self._wait_for(event.time, stream)
        if stream is None and not self._fan.cancelled:
            stream = self._begin(line, event)
        # It may have ended before its time: cancelled, or by a hole.
        with suppress(StreamEnded):
            if stream is not None and not stream.ended:
                self._publish(line, stream, event)

    def finish(self) -> None:
        """End what the recording does not."""
        for stream in self.streams.values():
            if stream.cancelled:
                stream.end()
            else:
                stream.fail(f"recording {self._name!r} ends before the stream does")

    def _publish(self, line: Line, stream: Stream, event: Event) -> None:
        if stream.cancelled:
            stream.end()
        elif isinstance(event, Text | Gap | End) and event.offset > stream.length:
            stream.fail(
                f"recording {self._name!r} lacks its text from byte {stream.length:,} to byte {event.offset:,}"
                f" (line {line.number})"
            )
        elif isinstance(event, Text):
            self._write(line, stream, event)
        elif isinstance(event, End):
            self._end(line, stream, event)

    def _write(self, line: Line, stream: Stream, event: Text) -> None:
        new = event.text.encode()[stream.length - event.offset :]
        try:
            # Of a piece that is there in part nobody knows which ids are.
            stream.write(new.decode(), event.token_ids if event.offset == stream.length else ())
        except UnicodeDecodeError:
            self._leave_out(line, f"byte {stream.length:,} is inside a character")

    def _end(self, line: Line, stream: Stream, end: End) -> None:
        if hashlib.sha256(stream.read(0)).hexdigest() != end.sha256:
            stream.fail(
                f"recording {self._name!r} has another text than was recorded: its sha256 differs (line {line.number})"
            )
            return
        stream.write("", end.token_ids)
        if end.cancel is not None:
            stream.cancel(end.cancel.reason, by=end.cancel.by)
        if end.error is not None:
            stream.fail(end.error)
        else:
            stream.end(end.finish_reason)

    def _begin(self, line: Line, event: Event) -> Stream | None:
        try:
            stream = self._open(event)
        except UsageError as error:
            self._leave_out(line, str(error).partition("\n")[0])
            return None
        self.streams[event.stream, event.attempt] = stream
        stream.on_cancel(self._cancelled.set)
        return stream

    def _open(self, event: Event) -> Stream:
        start = event if isinstance(event, Start) else None
        return self._fan.open(
            event.stream,
            attempt=event.attempt,
            model=start.model if start else None,
            row=start.row if start else 0,
            meta=start.meta if start else None,
            writer=start.writer if start else None,
            time=start.time if start else None,
        )

    def _wait_for(self, time: datetime, stream: Stream | None) -> None:
        """Until as much time has passed as in the recording, by its speed; not for a stream that has ended by then."""
        if not self._speed:
            return
        if self._began is None:
            self._began = (monotonic(), time)
        begun, first = self._began
        due = begun + (time - first).total_seconds() / self._speed
        while (left := due - monotonic()) > 0 and not (self.over or (stream is not None and stream.ended)):
            # Where no stream is open there is nobody to tell that all is to stop.
            self._cancelled.wait(left if self._playing else min(left, _LOOK))
            self._cancelled.clear()
            for each in self._playing:
                if each.cancelled:
                    each.end()

    @property
    def _playing(self) -> list[Stream]:
        """The streams that have not ended."""
        return [stream for stream in self.streams.values() if not stream.ended]

    def _leave_out(self, line: Line, why: str) -> None:
        log.warning("%s, line %d was left out: %s", self._name, line.number, why)


@hookimpl
def streamfan_sources() -> Iterable[type[Source]]:
    """The source of this module."""
    return (RecordingSource,)
