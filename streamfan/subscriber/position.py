"""How far a reader of a stream is, and the rule by which it goes on.

No input and no output is in here: whatever a log or a channel says, in whatever order and however often, is shown to a
position, and what it lets through is the text, once, in order, without gaps.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from streamfan.errors import HistoryTrimmed, TextAltered, WireError
from streamfan.events import End, Event, Gap, Start, Text


class Position:
    """A place in one attempt at a stream.

    Args:
        stream: The stream's id.
        offset: UTF-8 bytes of text that the reader has already.
        attempt: The attempt that they are of; 0 for the one that it begins with.

    Attributes:
        attempt: The attempt that is read; 0 before one is known.
        offset: UTF-8 bytes of its text that were read.
        started: Whether its start was let through, or is not to come any more.
    """

    def __init__(self, stream: str, offset: int, attempt: int = 0) -> None:
        self.stream = stream
        self.attempt = attempt
        self.offset = offset
        self.started = offset > 0
        # Of text that somebody else has read nothing can be said.
        self._hash = None if offset else hashlib.sha256()

    def begin(self, attempt: int) -> None:
        """Read `attempt`: from where this is if it is the first, else from its start, for its text is another one."""
        if self.attempt:
            self.offset, self.started, self._hash = 0, False, hashlib.sha256()
        self.attempt = attempt

    def follows(self, event: Event) -> bool:
        """Whether nothing is missing between this place and `event`, nor in it."""
        return isinstance(event, Start) or (not isinstance(event, Gap) and event.offset <= self.offset)

    def advance(self, event: Event) -> Event | None:
        """Go on by `event`, one of this attempt, and return what of it is new; None where nothing is.

        Raises:
            HistoryTrimmed: Text is missing before it; the position is then after the hole.
            TextAltered: It is an end, and not the end of what was read; the position stays.
            WireError: It is not as long as it says, or what is new begins inside a character; the position stays.
        """
        match event:
            case Start():
                fresh, self.started = not self.started, True
                return event if fresh else None
            case Text():
                return self._text(event)
            case Gap():
                if event.end > self.offset:
                    self._skip(event.end)
                return None
            case End():
                return self._end(event)

    def _text(self, event: Text) -> Text | None:
        if event.end <= self.offset:
            return None
        if event.offset > self.offset:
            self._skip(event.offset)
        data = event.text.encode()
        if event.end != event.offset + len(data):
            raise WireError(f"stream {self.stream!r}: text from {event.offset} to {event.end} has {len(data)} bytes")
        if event.offset < self.offset:
            event, data = self._rest(event, data)
        if self._hash is not None:
            self._hash.update(data)
        self.offset = event.end
        # A text that comes alone: the start was trimmed, or nobody asked for it.
        self.started = True
        return event

    def _rest(self, event: Text, data: bytes) -> tuple[Text, bytes]:
        data = data[self.offset - event.offset :]
        if data[0] & 0xC0 == 0x80:
            raise WireError(f"stream {self.stream!r}: byte {self.offset} is inside a character")
        # Which of the ids belong to the rest cannot be told, and one that came before must not come again.
        return replace(event, offset=self.offset, text=data.decode(), token_ids=()), data

    def _end(self, event: End) -> End:
        if event.offset > self.offset:
            self._skip(event.offset)
        if event.offset < self.offset:
            said = f"stream {self.stream!r} ends after {event.offset:,} bytes, but this is {self.offset:,}"
            raise TextAltered(said, stream=self.stream)
        if self._hash is not None and self._hash.hexdigest() != event.sha256:
            said = f"the text of stream {self.stream!r} is not the producer's: their sha256 differ"
            raise TextAltered(said, stream=self.stream)
        return event

    def _skip(self, end: int) -> None:
        """Give up the text from here to `end`, and say so."""
        offset, self.offset = self.offset, end
        self._hash = None
        self.started = True
        raise HistoryTrimmed(self.stream, offset, end)
