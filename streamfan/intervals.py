"""How fast text came: the time between tokens, or between chunks where nobody knows of tokens.

Worked out from when each piece was written, which a stream keeps anyway, and only when somebody asks: the thread that
generates pays for none of it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from streamfan.log import Log

# Intervals within a hundredth of each other are counted as one, so that a stream without an end needs no more memory.
_STEP = log(1.01)
_SHORTEST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """The seconds between one token and the next, after the first text.

    Attributes:
        unit: What was counted: a source without token ids writes chunks, and a chunk is not a token.
        count: How many there are.
        rate: Tokens, or chunks, per second: `count` over the time from the first text to the last.
        mean: The average.
        p50, p99: Half of them, and all but one in a hundred, were not longer; to one in a hundred.
    """

    unit: Literal["token", "chunk"]
    count: int
    rate: float
    mean: float
    p50: float
    p99: float


class Rhythm:
    """Adds up intervals.

    Tokens whose text came at once share the time before it: a character may take several, and a step of assisted
    decoding gives several. Text without an id, which an end flushes, counts for the next token.
    """

    def __init__(self) -> None:
        self._tokens = _Times()
        self._chunks = _Times()
        self._last: float | None = None
        self._since = 0.0

    def add(self, time: float, tokens: int) -> None:
        """Text was written at this time on the monotonic clock, which so many tokens have made."""
        if self._last is None:
            self._last = self._since = time
            return
        self._chunks.add(time - self._last, 1)
        self._last = time
        if tokens:
            self._tokens.add(time - self._since, tokens)
            self._since = time

    def read(self) -> Intervals | None:
        """All so far; None where there is no second token, or chunk."""
        if self._tokens.count:
            return self._tokens.read("token")
        return self._chunks.read("chunk") if self._chunks.count else None


class _Times:
    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        self._counts: dict[int, int] = {}

    def add(self, seconds: float, parts: int) -> None:
        """So many intervals that took so long together."""
        self.count += parts
        self._seconds += seconds
        place = round(log(max(_SHORTEST, seconds / parts)) / _STEP)
        self._counts[place] = self._counts.get(place, 0) + parts

    def read(self, unit: Literal["token", "chunk"]) -> Intervals:
        seconds = max(_SHORTEST, self._seconds)
        return Intervals(
            unit=unit,
            count=self.count,
            rate=self.count / seconds,
            mean=seconds / self.count,
            p50=self._longest_of(0.5),
            p99=self._longest_of(0.99),
        )

    def _longest_of(self, share: float) -> float:
        """The longest among this share of the intervals, beginning with the shortest."""
        left = share * self.count
        for place in sorted(self._counts):
            left -= self._counts[place]
            if left <= 0:
                return exp(place * _STEP)
        return 0.0


def add_all(rhythm: Rhythm, log: Log) -> Rhythm:
    """Add all that a log has."""
    seen = 0
    for end, time in zip(log.ends, log.times, strict=True):
        ids = bisect_right(log.id_ends, end, seen)
        rhythm.add(time, ids - seen)
        seen = ids
    return rhythm
