"""A sink that writes files: the text as it is, or its events as lines of JSON.

A failed write leaves nothing behind, so the sink knows what every file holds, and no text is missing or there twice.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.events import Start, Text, encode
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.file.access import check_directory, check_file, create_directory
from streamfan.sinks.file.append import AppendFile
from streamfan.sinks.file.paths import PathTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import Chunk, End, Event, Gap, StreamInfo


class FileOptions(SinkOptions):
    """The options of `FileSink`."""

    format: Literal["text", "jsonl"] = Field(
        default="text", description="The text, overwriting the file; or its events, one per line, appended to the file."
    )
    token_ids: bool = Field(default=True, description="Put token ids into the events of format jsonl.")

    @model_validator(mode="after")
    def _token_ids_need_events(self) -> FileOptions:
        if self.format == "text" and "token_ids" in self.model_fields_set:
            raise ValueError("token_ids needs format jsonl: a text has no token ids")
        return self


@dataclass(slots=True)
class _Place:
    """Where a stream is written to, and how much of it is there."""

    attempt: int
    path: Path
    file: AppendFile
    held: int = 0


class FileSink(Sink):
    """Writes streams to files: exactly once, as long as nobody else writes to the same file.

    The target is a path, with `{stream}` (the stream's id) and `{date}` (the day it was opened, in UTC) as fields;
    directories with a field in their name are created, others must exist. New files are readable by their owner alone.

    Format text empties a file when its first stream opens, as `tee` does. Where the path does not name the stream, the
    later streams of the same sink follow in the same file, each on a new line, one after the other: the lane option
    `sequential` is on then. With it off, a stream that begins while another one is being written there fails here.

    Format jsonl appends, also to what is there: any number of streams and programs at a time. A last line that a crash
    has left unfinished stays, and the next event begins on a new line: nothing that others wrote is ever removed.

    Two sinks of one program share a file only if both append events to it; else the second fails. Where another program
    writes to a text's file nothing can be saved, but the stream fails at its end.
    """

    name = "file"
    Options = FileOptions
    delivery = Delivery.EXACTLY_ONCE
    lane_defaults = LaneOptions(linger=0.05)
    options: FileOptions

    def __init__(self, target: str | None = None, options: FileOptions | None = None) -> None:
        super().__init__(target, options)
        self._jsonl = self.options.format == "jsonl"
        # In a text nobody would see that something is missing.
        self.accepts_gaps = self._jsonl
        default = "streamfan-{stream}.jsonl" if self._jsonl else "streamfan-{stream}.txt"
        self._template = PathTemplate.parse(default if target is None else target)
        # Text has no marks in it that would tell the streams apart.
        self._one_at_a_time = not self._jsonl and not self._template.per_stream
        if self._one_at_a_time:
            self.lane_defaults = LaneOptions(sequential=True).over(self.lane_defaults)
        self._files: dict[Path, AppendFile] = {}
        self._places: dict[str, _Place] = {}

    @property
    def label(self) -> str:
        """The path, with its fields."""
        return self._template.source

    def connect(self) -> None:
        path = self._template.fixed
        if path is None:
            check_directory(self._template.base, Path(self._template.source))
        else:
            check_file(path, shared=self._jsonl)

    def open(self, stream: StreamInfo) -> int:
        place = self._places.get(stream.id)
        if place is not None and place.attempt < stream.attempt:
            self._leave(stream.id)
            place = None
        if place is None:
            self._begin(stream)
        return self._place(stream).held

    def write(self, chunk: Chunk) -> None:
        place = self._place(chunk.stream)
        if self._jsonl:
            _append_event(place.file, Text.of(chunk, token_ids=self.options.token_ids))
        else:
            place.file.append(chunk.data, own_line=place.held == 0)
        place.held = chunk.end

    def gap(self, gap: Gap) -> None:
        place = self._places.get(gap.stream)
        if place is None or place.attempt != gap.attempt:
            raise Permanent(f"attempt {gap.attempt} at stream {gap.stream!r} was followed by another one")
        _append_event(place.file, gap)
        place.held = gap.end

    def close(self, stream: StreamInfo, end: End) -> None:
        place = self._places.get(stream.id)
        if place is None or place.attempt != stream.attempt:
            return
        try:
            if self._jsonl:
                _append_event(place.file, end if self.options.token_ids else replace(end, token_ids=()))
            elif end.complete:
                place.file.check_alone()
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
            while self._files:
                each.callback(self._files.popitem()[1].close)

    def _place(self, stream: StreamInfo) -> _Place:
        place = self._places.get(stream.id)
        if place is None or place.attempt != stream.attempt:
            raise Permanent(f"attempt {stream.attempt} at stream {stream.id!r} was followed by another one")
        return place

    def _begin(self, stream: StreamInfo) -> None:
        path = self._template.path(stream)
        if self._one_at_a_time and any(place.path == path for place in self._places.values()):
            raise Permanent(
                f"{str(path)!r} is being written by another stream\n"
                "Try: {stream} in the path, the option format=jsonl, or the lane option sequential=true"
            )
        place = _Place(stream.attempt, path, self._file(path))
        try:
            if self._jsonl:
                _append_event(place.file, Start.of(stream))
        except SinkError:
            self._let_go(path)
            raise
        self._places[stream.id] = place

    def _file(self, path: Path) -> AppendFile:
        if path not in self._files:
            if self._template.nested:
                create_directory(path.parent)
            self._files[path] = AppendFile(
                path, empty=not self._jsonl, shared=self._jsonl, follow=self._template.fixed is not None
            )
        return self._files[path]

    def _leave(self, id: str) -> None:
        self._let_go(self._places.pop(id).path)

    def _let_go(self, path: Path) -> None:
        # Any other file stays open: a later stream goes on in it, and a pipe's reader must not see an end between two.
        if self._template.per_stream:
            self._files.pop(path).close()


def _append_event(file: AppendFile, event: Event) -> None:
    file.append(encode(event) + b"\n", own_line=True)


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The file sink."""
    return [FileSink]
