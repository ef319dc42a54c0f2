"""A stream in a file: how its start, its text and its end become bytes there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.events import Start, Text, encode

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, Event, Gap, StreamInfo
    from streamfan.sinks.file.append import AppendFile
    from streamfan.sinks.file.records import Recorded


class Entry(ABC):
    """One stream in a file; a call that raises has changed nothing, and can be made again.

    Attributes:
        held: How many bytes of the stream's text the file has.
    """

    def __init__(self, file: AppendFile) -> None:
        self.file = file
        self.held = 0

    @abstractmethod
    def begin(self, stream: StreamInfo) -> None:
        """Write what comes before the text."""

    @abstractmethod
    def write(self, chunk: Chunk) -> None:
        """Write a piece of the text."""

    def leave_out(self, gap: Gap) -> None:
        """Write that some of the text is missing."""
        raise Permanent("nobody would see in a text that something is missing")

    @abstractmethod
    def finish(self, end: End) -> None:
        """Write what comes after the text, unless that has been done."""


class TextEntry(Entry):
    """The text as it is, beginning on a line of its own."""

    def begin(self, stream: StreamInfo) -> None:
        """See `Entry.begin`."""

    def write(self, chunk: Chunk) -> None:
        """See `Entry.write`."""
        self.file.append(chunk.data, own_line=self.held == 0)
        self.held = chunk.end

    def finish(self, end: End) -> None:
        """See `Entry.finish`."""


class EventsEntry(Entry):
    """The events, each on a line of its own.

    Args:
        token_ids: Whether events have them.
        recorded: What the file has of them.
    """

    def __init__(self, file: AppendFile, *, token_ids: bool, recorded: Recorded | None = None) -> None:
        super().__init__(file)
        self._token_ids = token_ids
        self._recorded = recorded
        self._finished = False

    def begin(self, stream: StreamInfo) -> None:
        """See `Entry.begin`."""
        if self._recorded is None or not self._recorded.begun:
            self._append(Start.of(stream))

    def write(self, chunk: Chunk) -> None:
        """See `Entry.write`."""
        rest = chunk if self._recorded is None else self._recorded.rest_of(chunk)
        if rest is not None:
            self._append(Text.of(rest, token_ids=self._token_ids))
        if self._recorded is not None:
            self._recorded.passed(chunk)
        self.held = chunk.end

    def leave_out(self, gap: Gap) -> None:
        """See `Entry.leave_out`."""
        self._append(gap)
        self.held = gap.end

    def finish(self, end: End) -> None:
        """See `Entry.finish`."""
        if self._finished:
            return
        if self._recorded is None or not self._recorded.has_end(end):
            self._append(end if self._token_ids else replace(end, token_ids=()))
        self._finished = True

    def _append(self, event: Event) -> None:
        self.file.append(encode(event) + b"\n", own_line=True)
