"""Text of an attempt that a subject holds and this sink has not sent.

Another sink of the same program may have brought it, or the program itself before it was started again. All of it is
compared with what there is to send, and nothing of it is sent twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamfan import Permanent, Text

if TYPE_CHECKING:
    from streamfan import StreamInfo
    from streamfan_nats.journal import Journal


class Found:
    """What was found.

    Attributes:
        end: UTF-8 bytes of the text that is there.
    """

    def __init__(self, end: int) -> None:
        self.end = end
        self._begin: int | None = None
        self._data = bytearray()
        self._ids = 0

    @classmethod
    async def read(cls, journal: Journal, subject: str, stream: StreamInfo, end: int) -> Found:
        """Read an attempt's text; what its subject does not hold any more cannot be compared."""
        found = cls(end)
        sequence = 1
        while (entry := await journal.following(subject, sequence)) is not None:
            sequence = entry.sequence + 1
            if isinstance(entry.event, Text) and entry.event.attempt == stream.attempt:
                found._add(entry.event)
        return found

    def rest_of(self, text: Text) -> Text | None:
        """What of `text` is not there yet; None if nothing is left.

        Raises:
            Permanent: Another text is there.
        """
        # Ids come in order, and those of what is there are there too.
        known = min(self._ids, len(text.token_ids))
        self._ids -= known
        data, begin = text.text.encode(), self.end if self._begin is None else self._begin
        first, last = max(text.offset, begin), min(text.end, self.end)
        there = self._data[first - begin : last - begin] if first < last else b""
        if data[first - text.offset : last - text.offset] != there and first < last:
            raise Permanent(f"stream {text.stream!r}: another text of attempt {text.attempt} is there")
        if text.end <= self.end:
            return None
        try:
            rest = data[max(0, self.end - text.offset) :].decode()
        except UnicodeDecodeError:
            raise Permanent(f"stream {text.stream!r}: another text of attempt {text.attempt} is there") from None
        return replace(text, offset=max(text.offset, self.end), text=rest, token_ids=text.token_ids[known:])

    def _add(self, text: Text) -> None:
        if self._begin is None:
            self._begin = text.offset
        if text.offset != self._begin + len(self._data):
            raise Permanent(f"stream {text.stream!r}: the text of attempt {text.attempt} that is there has a gap")
        self._data += text.text.encode()
        self._ids += len(text.token_ids)
