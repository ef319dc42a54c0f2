"""What a file of events holds already, so that the lines of the same attempt are not written twice.

Of a whole file only the places of its lines are kept, not what they say: it may be larger than memory.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, WireError
from streamfan.events import Chunk, End, Event, Gap, Start, Text, decode
from streamfan.recording import LONGEST_LINE
from streamfan.sinks.file.append import AppendFile
from streamfan.sinks.file.resume import check_regular, common, differs

if TYPE_CHECKING:
    from streamfan.events import StreamInfo
    from streamfan.sinks.file.location import Location

# How every line of such a file begins.
_BEGINNING = b'{"v":'


@dataclass(slots=True)
class Recorded:
    """What a file has of one attempt at a stream.

    Attributes:
        begun: Whether the start is there.
        text: The text, as far as it is there.
        token_ids: How many token ids came with this text, and have not come again.
        end: The end, if all text before it is there.
    """

    location: Location
    begun: bool = False
    text: bytearray = field(default_factory=bytearray)
    token_ids: int = 0
    end: End | None = None

    def add(self, event: Event) -> None:
        """Take note of the attempt's next event.

        Raises:
            Permanent: There is a gap before it, which nothing that is appended could fill.
        """
        match event:
            case Start():
                self.begun = True
            case Text():
                self._add_text(event)
            case Gap():
                raise self._lacks(event.offset, event.end)
            case End():
                self.end = event if event.offset == len(self.text) else None

    def rest_of(self, chunk: Chunk) -> Chunk | None:
        """What of `chunk` is not there; None if all of it is.

        Raises:
            Permanent: Something else is there.
        """
        there = bytes(self.text[chunk.offset : chunk.end])
        if not chunk.data.startswith(there):
            raise differs(self.location, chunk.offset + common(chunk.data, there), chunk.stream.id)
        if len(there) == len(chunk.data):
            return None
        if self.end is not None:
            raise differs(self.location, self.end.offset, chunk.stream.id)
        if not there:
            return chunk
        ids = chunk.token_ids[self.token_ids :]
        return replace(chunk, offset=chunk.offset + len(there), data=chunk.data[len(there) :], token_ids=ids)

    def passed(self, chunk: Chunk) -> None:
        """Take note that `chunk` is there now."""
        self.token_ids = max(0, self.token_ids - len(chunk.token_ids))

    def has_end(self, end: End) -> bool:
        """Whether the end is there, or text that a generation which was cut short has not come to again.

        Raises:
            Permanent: Another one is.
        """
        if end.offset < len(self.text):
            if end.finish_reason in {"cancelled", "error"}:
                return True
            raise differs(self.location, end.offset, end.stream)
        if self.end is not None and self.end.sha256 != end.sha256:
            raise Permanent(f"{self.location} cannot be resumed: its sha256 of stream {end.stream!r} is another one")
        return self.end is not None

    def _add_text(self, event: Text) -> None:
        if event.offset > len(self.text):
            raise self._lacks(len(self.text), event.offset)
        new = event.text.encode()[len(self.text) - event.offset :]
        if new:
            self.text += new
            self.token_ids += len(event.token_ids)

    def _lacks(self, offset: int, end: int) -> Permanent:
        return Permanent(
            f"{self.location} cannot be resumed: it lacks text, from byte {offset:,} to byte {end:,}\n"
            "Try: another path, or the option mode=overwrite to replace it"
        )


class ResumedEvents(AppendFile):
    """A file of events that a process may have left in the middle of a line, which is removed."""

    def recorded(self, stream: StreamInfo) -> Recorded:
        """What is there of this attempt.

        Raises:
            Permanent: It cannot be resumed.
        """
        recorded = Recorded(self.location)
        with os.fdopen(self._handle.descriptor, "rb", closefd=False) as lines:
            for position in self._lines.get((stream.id, stream.attempt), ()):
                lines.seek(position)
                recorded.add(decode(lines.readline()))
        return recorded

    def _begin(self, *, empty: bool) -> None:
        check_regular(self.location, regular=self._handle.regular)
        self._lines: dict[tuple[str, int], array[int]] = {}
        torn_at = self._find_lines()
        if torn_at is not None:
            os.ftruncate(self._handle.descriptor, torn_at)
        self._look_at_end()

    def _find_lines(self) -> int | None:
        """Note where each attempt's lines are; returns where the last one begins if it is half an event."""
        position = 0
        with os.fdopen(self._handle.descriptor, "rb", closefd=False) as lines:
            begins = True
            # In pieces: what somebody else has written there may be one line without an end.
            while piece := lines.readline(LONGEST_LINE):
                event = _event(piece) if begins else None
                if event is not None:
                    self._lines.setdefault((event.stream, event.attempt), array("Q")).append(position)
                elif begins and not piece.endswith(b"\n") and len(piece) < LONGEST_LINE and _is_torn(piece):
                    return position
                begins = piece.endswith(b"\n")
                position += len(piece)
        return None


def _event(line: bytes) -> Event | None:
    try:
        return decode(line)
    except WireError:
        return None


def _is_torn(line: bytes) -> bool:
    # What does not begin as an event was written by somebody else, and is not removed.
    return line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
