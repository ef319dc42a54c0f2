"""Recorded streams, published again: `streamfan run --source recording:FILE`, or `streamfan replay FILE`.

They have the ids, attempts and offsets that they had, so that whoever has some of them already can tell.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import zlib
from contextlib import ExitStack, suppress
from gzip import GzipFile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import Field

from streamfan.errors import SourceError, StreamEnded, UsageError, WireError
from streamfan.events import End, Gap, Start, Text, now
from streamfan.hookspecs import hookimpl
from streamfan.options import PathName
from streamfan.recording import lines, read_lines
from streamfan.source import Source, SourceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from io import BufferedReader

    from streamfan.fan import Fan
    from streamfan.recording import Line, Readable
    from streamfan.source import Request
    from streamfan.stream import Stream

log = logging.getLogger("streamfan.sources.recording")

_GZIP = b"\x1f\x8b"

_Key = tuple[str, int]
_Played = Start | Text | End

# A clock can wait for no more seconds than it can count.
_LONGEST_WAIT = 3600.0


class RecordingOptions(SourceOptions):
    """The options of the `recording` source."""

    speed: float = Field(
        default=0.0,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="1 is the rhythm it was recorded in, without the pauses between streams, 2 twice as fast; 0 is all "
        "at once.",
    )
    then: tuple[PathName, ...] = Field(
        default=(),
        description="The files that the recording goes on in, in their order, as those that were rotated do.",
    )


class RecordingSource(Source):
    """Publishes the streams of a recording: lines of JSON, as the `file` sink writes them with `format=jsonl`.

    A file may be compressed by gzip. A damaged line is named in the log, and left out. A stream that lacks some of its
    text ends as `error` where that is, and so does one without an end, or whose text is not what its end says.
    """

    name = "recording"
    example = "recording:out.jsonl"
    Options = RecordingOptions
    options: RecordingOptions

    def __init__(self, target: str | None = None, options: RecordingOptions | None = None) -> None:
        super().__init__(target, options)
        if not target:
            raise UsageError("source 'recording' needs a file\nTry: recording:FILE, or streamfan replay FILE")
        self._paths = [Path(target), *map(Path, self.options.then)]
        self._files: list[BufferedReader] = []
        self._opened = ExitStack()

    def load(self, request: Request) -> None:
        """Publishes nothing.

        Raises:
            UsageError: A file cannot be read.
        """
        with ExitStack() as opened:
            for path in self._paths:
                try:
                    # Once only: what is read of a pipe, or its end, does not come again.
                    self._files.append(opened.enter_context(path.open("rb")))
                except OSError as error:
                    raise UsageError(f"recording {str(path)!r} cannot be read: {error.strerror}") from None
            self._opened = opened.pop_all()

    def run(self, fan: Fan, request: Request) -> None:
        """Publishes the recording, to its end or until somebody asks for an early one.

        Raises:
            SourceError: There is no stream in it, or one that cannot be published again, or it cannot be read on.
        """
        player = _Player(fan, self.options.speed)
        try:
            with self._opened:
                for path, file in zip(self._paths, self._files, strict=True):
                    player.play(str(path), _unpacked(file))
        finally:
            player.finish()
        player.check()


def _unpacked(file: BufferedReader) -> Readable:
    return GzipFile(fileobj=file) if file.peek(2).startswith(_GZIP) else file


class _Player:
    """Publishes one recording.

    Args:
        speed: See `RecordingOptions`.
    """

    def __init__(self, fan: Fan, speed: float) -> None:
        self._fan = fan
        # The file's that is being read, for people.
        self._name = ""
        self._speed = speed
        self._open: dict[_Key, Stream] = {}
        # Of these no more is published: they have ended, or cannot be opened.
        self._over: set[_Key] = set()
        self._refused = 0
        self._cancelled = threading.Event()
        self._began = (monotonic(), now())

    def play(self, name: str, file: Readable) -> None:
        """Publish what the file called `name` holds.

        Raises:
            SourceError: It cannot be read to its end.
        """
        self._name = name
        number = 0
        try:
            for line in lines(read_lines(file)):
                number = line.number
                if self._fan.cancelled and not self._open:
                    # Nobody wants the rest: everything was asked to stop, and has.
                    return
                self._play(line)
        except WireError as error:
            raise SourceError(f"recording {name!r} cannot be read on: {error}") from None
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"recording {name!r} cannot be read any further than line {number:,}: {error}") from error

    def finish(self) -> None:
        """End what the recording does not."""
        for stream in self._open.values():
            if stream.cancelled:
                stream.end()
            else:
                stream.fail(f"recording {self._name!r} ends before the stream does")

    def check(self) -> None:
        """Say so if there was nothing to publish, or something could not be.

        Raises:
            SourceError: That is so.
        """
        if self._refused:
            raise SourceError(f"recording {self._name!r} has attempts that could not be published: {self._refused:,}")
        if not (self._open or self._over or self._fan.cancelled):
            raise SourceError(
                f"recording {self._name!r} has no stream in it\n"
                "Try: one that a file sink has written, as with --sink file:NAME.jsonl"
            )

    def _play(self, line: Line) -> None:
        """Publish the event of a line, when it is time to."""
        event = line.event
        if event is None:
            self._leave_out(line, line.damage)
            return
        if isinstance(event, Gap):
            # What comes next says as much: it is too far on.
            return
        key = (event.stream, event.attempt)
        if self._speed:
            self._wait_for(event.time, key)
        # It may have ended before its time: cancelled, or by a hole.
        if key not in self._over and (stream := self._open.get(key) or self._begin(line, event)):
            # Somebody else may have ended it, by closing the fan.
            with suppress(StreamEnded):
                self._publish(line, stream, event)
            if stream.ended:
                self._forget(key)

    def _publish(self, line: Line, stream: Stream, event: _Played) -> None:
        if stream.cancelled:
            stream.end()
        elif isinstance(event, Text | End) and event.offset > stream.length:
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
            stream.fail(end.error, meta=end.meta, tokens=end.tokens)
        else:
            stream.end(end.finish_reason, meta=end.meta, tokens=end.tokens)

    def _begin(self, line: Line, event: _Played) -> Stream | None:
        if self._fan.cancelled:
            return None
        key = (event.stream, event.attempt)
        try:
            self._open[key] = stream = self._opened(event)
        except UsageError as error:
            self._over.add(key)
            self._refused += 1
            self._leave_out(line, str(error).partition("\n")[0] + "; so is the rest of this attempt")
            return None
        stream.on_cancel(self._cancelled.set)
        return stream

    def _opened(self, event: _Played) -> Stream:
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

    def _forget(self, key: _Key) -> None:
        """Keep no more of a stream that has ended than that it was there."""
        del self._open[key]
        self._over.add(key)

    def _wait_for(self, time: datetime, key: _Key) -> None:
        """Until as much time has passed as in the recording, by its speed; not for a stream that has ended by then.

        Nobody waits for a stream to begin where none is open: the next one may have been recorded on another day.
        """
        while self._open and key not in self._over and (left := self._left_until(time)) > 0:
            self._cancelled.wait(min(left, _LONGEST_WAIT))
            self._cancelled.clear()
            for each, stream in [*self._open.items()]:
                if stream.cancelled:
                    stream.end()
                    self._forget(each)
        if not self._open:
            self._began = (monotonic(), time)

    def _left_until(self, time: datetime) -> float:
        began, first = self._began
        return began + (time - first).total_seconds() / self._speed - monotonic()

    def _leave_out(self, line: Line, why: str) -> None:
        log.warning("%s, line %d was left out: %s", self._name, line.number, why)


@hookimpl
def streamfan_sources() -> Iterable[type[Source]]:
    """The source of this module."""
    return (RecordingSource,)
