"""A sink that writes files: the text as it is, or its events as lines of JSON.

A failed write leaves nothing behind, so the sink knows what every file holds, and no text is missing or there twice.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.events import now
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink
from streamfan.sinks.file.access import check_directory, check_file, shown
from streamfan.sinks.file.append import AppendFile
from streamfan.sinks.file.atomic import AtomicFile, check_replaceable, part_of
from streamfan.sinks.file.compress import Compressor
from streamfan.sinks.file.entries import Entry, EventsEntry, TextEntry
from streamfan.sinks.file.location import Location
from streamfan.sinks.file.options import FileOptions
from streamfan.sinks.file.paths import PathTemplate
from streamfan.sinks.file.records import ResumedEvents
from streamfan.sinks.file.resume import ResumedFile
from streamfan.sinks.file.rotate import Rotation
from streamfan.sinks.file.shared import SharedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from streamfan.events import Chunk, End, Gap, StreamInfo

# Seconds that a program waits at its end for files to be compressed, which are whole without it.
_COMPRESSING = 2.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stream is written to."""

    attempt: int
    path: Path
    entry: Entry


class FileSink(Sink):
    """Writes streams to files: exactly once, as long as nobody else writes to the same file.

    The target is a path, with `{stream}` (the stream's id) and `{date}` (the day it was opened, in UTC) as fields;
    directories with a field in their name are created, others must exist. New files are readable by their owner alone.
    Symbolic links are followed, except from the first field of the path on, where they are refused.

    A path that ends in `.jsonl` is for events, unless the option `format` says otherwise.

    With format text a file is emptied when its first stream opens, as `tee` does. If the path has no `{stream}`, the
    later streams of the same sink follow in the same file, one after the other, each on a new line: the lane option
    `sequential` is then on. If you turn it off, a stream that begins while another one is being written fails here.

    With format jsonl events are appended to what the file holds. Any number of streams and programs may write to it at
    a time. If a crash has left half a line at the end, it stays, and the next event begins on a new line: nothing that
    others wrote is ever removed.

    The option `mode` changes that. With mode append a text is appended too, by one program at a time. What earlier runs
    have written stays; if a stream comes again from its beginning, its text is there twice, for a text does not say
    which stream it is of. So it is exactly once within a run; across runs only mode resume and events are.

    With mode atomic a file holds one stream. It is `PATH.part` while it is written, and gets its name at the end, when
    all of it is on the disk. If this sink was not given everything, the file stays `PATH.part` until the next run, and
    the log says so. A generation that failed or was cancelled is complete in this sense: its text ends there.

    With mode resume a stream may come again from its beginning. Its text is compared with what the file holds, and the
    rest is appended. With events it must be the same attempt, as a replay sends it: the events that the file lacks are
    written, and half an event at the end of the file is removed.

    Files of events can be rotated: between two events, whoever writes next renames the file and begins a new one. A
    stream may then begin in one file and end in another; in the order of their names they hold every event once.

    Only programs that append events can share a file: for others, the second that opens it fails, and is told why.

    Args:
        clock: What time it is, for the age of files.
    """

    name = "file"
    example = "file:story.jsonl"
    Options = FileOptions
    delivery = Delivery.EXACTLY_ONCE
    lane_defaults = LaneOptions(linger=0.05)
    options: FileOptions

    def __init__(
        self, target: str | None = None, options: FileOptions | None = None, *, clock: Callable[[], datetime] = now
    ) -> None:
        super().__init__(target, options)
        self.options = self.options.written_to(target)
        self._jsonl = self.options.format == "jsonl"
        # In a text nobody would see that something is missing; and the other ways are about whole streams.
        self.accepts_gaps = self._jsonl and self.options.way in {"append", "overwrite"}
        default = "streamfan-{stream}.jsonl" if self._jsonl else "streamfan-{stream}.txt"
        self._template = PathTemplate.parse(default if target is None else target)
        self._atomic = self.options.way == "atomic"
        # Text has no marks in it that would tell the streams apart.
        self._one_at_a_time = not self._template.per_stream and (self._atomic or not self._jsonl)
        if self._one_at_a_time:
            self.lane_defaults = LaneOptions(sequential=True).over(self.lane_defaults)
        self._compressor = Compressor() if self.options.gzip else None
        self._rotation = self._rotating(clock) if self.options.rotates else None
        self._files: dict[Path, AppendFile] = {}
        self._places: dict[str, _Place] = {}
        # Whose an atomic file is, where the path does not say it.
        self._owners: dict[Path, str] = {}
        self._cut_short = False

    @property
    def label(self) -> str:
        """The path, with its fields."""
        return self._template.source

    def connect(self) -> None:
        path = self._template.fixed
        if path is None:
            check_directory(self._template.base, Path(self._template.source))
            return
        location = self._location(path)
        if self._atomic:
            check_replaceable(location)
            location = part_of(location)
        check_file(location.path, shared=self.options.shared, reads=self.options.way in {"append", "resume"})

    def open(self, stream: StreamInfo) -> int:
        place = self._places.get(stream.id)
        if place is not None and place.attempt < stream.attempt:
            self._leave(stream.id)
            place = None
        if place is None:
            self._begin(stream)
        return self._place(stream).entry.held

    def write(self, chunk: Chunk) -> None:
        self._place(chunk.stream).entry.write(chunk)

    def gap(self, gap: Gap) -> None:
        place = self._places.get(gap.stream)
        if place is None or place.attempt != gap.attempt:
            raise Permanent(f"attempt {gap.attempt} at stream {gap.stream!r} was followed by another one")
        place.entry.leave_out(gap)

    def close(self, stream: StreamInfo, end: End) -> None:
        place = self._places.get(stream.id)
        if place is None or place.attempt != stream.attempt:
            return
        try:
            place.entry.finish(end)
            if end.complete:
                place.entry.file.check_alone()
            self._settle(place.entry.file, end)
        except Retryable:
            # The lane comes back, so the file stays.
            raise
        except SinkError:
            self._leave(stream.id)
            raise
        self._leave(stream.id)

    def disconnect(self) -> None:
        self._places.clear()
        # Each is closed, also when closing another one says that it is incomplete.
        with ExitStack() as each:
            if self._compressor is not None:
                each.callback(self._compressor.stop, _COMPRESSING)
            while self._files:
                _, file = self._files.popitem()
                each.callback(file.close)
                if isinstance(file, ResumedFile) and not (self._template.per_stream or self._cut_short):
                    each.callback(file.check_end)

    def _place(self, stream: StreamInfo) -> _Place:
        place = self._places.get(stream.id)
        if place is None or place.attempt != stream.attempt:
            raise Permanent(f"attempt {stream.attempt} at stream {stream.id!r} was followed by another one")
        return place

    def _begin(self, stream: StreamInfo) -> None:
        path = self._template.path(stream)
        self._check_free(path, stream.id)
        file = self._file(path)
        try:
            entry = self._entry(file, stream)
            entry.begin(stream)
        except SinkError:
            self._let_go(path)
            raise
        self._places[stream.id] = _Place(stream.attempt, path, entry)

    def _check_free(self, path: Path, id: str) -> None:
        if not self._one_at_a_time:
            return
        if any(place.path == path for place in self._places.values()):
            raise Permanent(
                f"{shown(path)!r} is being written by another stream\n"
                "Try: {stream} in the path, the option format=jsonl, or the lane option sequential=true"
            )
        if self._atomic and self._owners.setdefault(path, id) != id:
            raise Permanent(
                f"{shown(path)!r} has another stream, which this one would replace\n"
                "Try: {stream} in the path, or another mode than atomic"
            )

    def _file(self, path: Path) -> AppendFile:
        if path not in self._files:
            self._files[path] = self._opened(self._location(path))
        return self._files[path]

    def _opened(self, location: Location) -> AppendFile:
        permissions, fsync = int(self.options.permissions, 8), self.options.fsync
        if self._atomic:
            return AtomicFile(location, permissions=permissions, fsync=fsync)
        if self.options.way == "resume":
            kind = ResumedEvents if self._jsonl else ResumedFile
            return kind(location, permissions=permissions, fsync=fsync)
        if self.options.shared:
            return SharedFile(location, permissions=permissions, fsync=fsync, rotation=self._rotation)
        return AppendFile(location, empty=self.options.way == "overwrite", permissions=permissions, fsync=fsync)

    def _location(self, path: Path) -> Location:
        if self._template.fixed is None:
            return Location(path, self._template.base)
        # Of what is replaced or renamed, the link stays.
        moved = (self._atomic or self.options.rotates) and path.is_symlink()
        return Location(Path(os.path.realpath(path)) if moved else path)

    def _entry(self, file: AppendFile, stream: StreamInfo) -> Entry:
        if not self._jsonl:
            return TextEntry(file)
        recorded = file.recorded(stream) if isinstance(file, ResumedEvents) else None
        return EventsEntry(file, token_ids=self.options.token_ids, recorded=recorded)

    def _rotating(self, clock: Callable[[], datetime]) -> Rotation:
        return Rotation(self.options.rotate_bytes, self.options.rotate_age, self._compressor, clock)

    def _settle(self, file: AppendFile, end: End) -> None:
        """Do what is due when a stream's last byte was written."""
        whole = end.complete and end.finish_reason in {"stop", "length"}
        self._cut_short = self._cut_short or not whole
        if isinstance(file, AtomicFile):
            if end.complete:
                file.publish()
        elif self.options.fsync != "never":
            file.sync()
        if isinstance(file, ResumedFile) and self._template.per_stream and whole:
            file.check_end()

    def _leave(self, id: str) -> None:
        self._let_go(self._places.pop(id).path)

    def _let_go(self, path: Path) -> None:
        # Any other file stays open: a later stream goes on in it, and a pipe's reader must not see an end between two.
        if self._template.per_stream or self._atomic:
            self._files.pop(path).close()


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The file sink."""
    return [FileSink]
