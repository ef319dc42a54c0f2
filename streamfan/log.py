"""What a stream keeps of its text: from a place on, as UTF-8, with when each piece came and the token ids of it.

A log only grows. To let go of its beginning a stream takes another log in its place, so that whoever reads the one, and
takes no lock for it, reads one that is consistent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Log:
    """The text from `start` on; all offsets are those of the whole text.

    Attributes:
        start: Where it begins.
        ends, times: For each write where its text ends, and when it came on the monotonic clock.
        id_ends: For each token id the end of the text it came with.
    """

    __slots__ = ("_before", "_ids", "_text", "ends", "id_ends", "start", "times")

    def __init__(self, start: int = 0, before: int = 0) -> None:
        self.start = start
        self.ends = array("Q")
        self.times = array("d")
        self.id_ends = array("Q")
        self._text = bytearray()
        self._ids: list[int] = []
        # How many writes there were before the first of these.
        self._before = before

    @property
    def text(self) -> bytearray:
        """All of it; not to be changed."""
        return self._text

    def append(self, text: bytes, ids: Sequence[int], time: float) -> int:
        """Add a write; returns where its text ends."""
        self._text += text
        end = self.start + len(self._text)
        if ids:
            self._ids += ids
            self.id_ends.extend([end] * len(ids))
        self.times.append(time)
        self.ends.append(end)
        return end

    def read(self, offset: int, end: int) -> bytes:
        """The text between these two."""
        return bytes(self._text[offset - self.start : end - self.start])

    def continues(self, offset: int) -> bool:
        """Whether the byte there, which is in the log, goes on with a code point that began before."""
        return self._text[offset - self.start] & 0xC0 == 0x80

    def ids(self, offset: int, end: int) -> tuple[int, ...]:
        """The ids that belong to a chunk between these two."""
        return tuple(self._ids[bisect_right(self.id_ends, offset) : bisect_right(self.id_ends, end)])

    def written_at(self, offset: int) -> float:
        """When the byte there was written."""
        return self.times[bisect_left(self.ends, offset + 1)]

    def pieces(self, offset: int) -> int:
        """How many writes end there or before."""
        return self._before + bisect_right(self.ends, offset)

    def split(self, offset: int) -> tuple[Log, Log]:
        """One with the writes that end there or before, and one with the others, the last write in any case."""
        count = min(bisect_right(self.ends, offset), len(self.ends) - 1)
        cut = self.ends[count - 1] if count else self.start
        ids = bisect_right(self.id_ends, cut)
        head, tail = Log(self.start, self._before), Log(cut, self._before + count)
        for log, writes, tokens, text in (
            (head, slice(count), slice(ids), slice(cut - self.start)),
            (tail, slice(count, None), slice(ids, None), slice(cut - self.start, None)),
        ):
            log.ends, log.times = self.ends[writes], self.times[writes]
            log._ids, log.id_ends = self._ids[tokens], self.id_ends[tokens]
            log._text = self._text[text]
        return head, tail
