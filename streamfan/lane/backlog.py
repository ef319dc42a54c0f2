"""How far a lane is behind, and what is to be done about it."""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from streamfan.errors import SinkBehind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.cursor import Cursor
    from streamfan.options import LaneOptions

# How often a lane is measured: each of its streams is looked at.
_LOOK = 0.05
# How long a lane may be full and make no progress; where the publisher waits for it, as long as for any call.
_PATIENCE = 1.0
# Each stream takes memory beside its text: so many may be behind, however little text they have.
_STREAMS = 4_096


class Relief(Enum):
    """What is to be done for a lane that is full."""

    WAIT = auto()
    SKIP = auto()
    GIVE_UP = auto()


class Backlog:
    """What one lane has not delivered of the text that it could.

    Text that waits for more, for a boundary or for another stream to end does not count: that is as it was wanted.

    Attributes:
        late: The streams that are behind, as they were last measured.
        bytes: How far behind they were, together.
        look_at: When to measure next, on the monotonic clock.
    """

    def __init__(self, options: LaneOptions) -> None:
        self.late: list[Cursor] = []
        self.bytes = 0
        self.look_at = 0.0
        self._options = options
        self._full_since = inf
        self._progress_at = 0.0

    @property
    def full(self) -> bool:
        """Whether the lane is further behind than it may be."""
        return self._full_since < inf

    def progress(self, now: float) -> None:
        """The sink has taken something."""
        self._progress_at = now

    def moves(self, cursors: Sequence[Cursor], now: float) -> bool:
        """Whether the sink takes what it is given, or has not had it for long enough to tell."""
        waiting = (since for cursor in cursors if (since := cursor.waiting_since) is not None)
        return now - max(self._progress_at, min(waiting, default=-inf)) < _PATIENCE

    def stuck(self, now: float) -> float:
        """For how many seconds the lane has been full and made no progress."""
        return max(0.0, now - max(self._full_since, self._progress_at))

    def measure(self, cursors: Sequence[Cursor], now: float) -> Relief:
        """Look how far behind `cursors` are, and say what is to be done."""
        self.look_at = now + _LOOK
        self.late = self._late(cursors, now)
        self.bytes = sum(cursor.waiting for cursor in self.late)
        if self.bytes <= self._options.buffer_bytes and len(self.late) <= _STREAMS:
            self._full_since = inf
            return Relief.WAIT
        self._full_since = min(self._full_since, now)
        stuck, policy = self.stuck(now), self._options.when_full
        # A gap that cannot be told of frees no memory either.
        if stuck >= (_PATIENCE if policy == "fail" else max(_PATIENCE, self._options.call_timeout)):
            return Relief.GIVE_UP
        return Relief.SKIP if policy == "skip" and stuck >= _PATIENCE else Relief.WAIT

    def _late(self, cursors: Sequence[Cursor], now: float) -> list[Cursor]:
        if sum(cursor.waiting for cursor in cursors) <= self._options.buffer_bytes and len(cursors) <= _STREAMS:
            # Nearly always, and without a closer look at each.
            return []
        if self._options.sequential and not cursors[0].late(now):
            return []
        return [cursor for cursor in cursors if cursor.late(now)]

    def error(self, cursor: Cursor, now: float) -> SinkBehind:
        """Why `cursor`, one of those that are late, is given up."""
        limit, policy = self._options.buffer_bytes, self._options.when_full
        many = self.bytes <= limit
        allowed = f"{_STREAMS:,} streams may be" if many else f"buffer_bytes is {limit:,}"
        advice = [*([] if many else ["a larger buffer_bytes"]), *(["when_full = block"] if policy == "fail" else [])]
        return SinkBehind(
            f"{cursor.waiting:,} bytes behind, of {self.bytes:,} in all{f' and {len(self.late):,} streams' * many},"
            f" without progress for {self.stuck(now):.1f} s; {allowed}, and when_full is {policy}\n"
            f"Try: {', or '.join(advice) or 'a sink that keeps up'}"
        )
