"""Whether a destination is down: then one stream at a time tries it for all, and not each for itself."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from streamfan.retry import Backoff

if TYPE_CHECKING:
    from streamfan.cursor import Cursor

# So many streams that fail one after the other have met the same: it is not theirs, it is the destination's.
_MANY = 5


class Outage:
    """What the streams of one lane have met at its destination since something worked there.

    Attributes:
        on: Whether the destination is down; until something works there, whatever becomes of these streams.
        error: What the last of them has met; None if nothing.
        at: When to try again, on the monotonic clock, if the destination is down.
    """

    def __init__(self) -> None:
        self.on = False
        self.error: BaseException | None = None
        self.at = 0.0
        self._failed: set[Cursor] = set()
        self._opening = False
        self._pace = Backoff(inf)

    @property
    def until(self) -> float:
        """When the next call may be made, on the monotonic clock."""
        return self.at if self.on else 0.0

    def failed(self, cursor: Cursor, error: BaseException, now: float, *, opening: bool) -> None:
        """A call for `cursor` has failed, to open it or another, and will be made again."""
        self.error = error
        self._opening = opening
        self._failed.add(cursor)
        if self.on or len(self._failed) >= _MANY:
            self.on = True
            self._failed.clear()
            # Without what the destination asks for: that is between it and this stream.
            self.at = self._pace.next_try(TimeoutError(), now, inf) or now

    def worked(self) -> None:
        """The destination has taken something."""
        if self.error is not None:
            self.on, self.error = False, None
            self._failed.clear()
            self._pace.reset()

    def opened(self) -> None:
        """A stream was opened, which says something about the destination if that is what has failed."""
        if self._opening:
            self.worked()

    def forget(self, cursor: Cursor) -> None:
        """`cursor` is served no more."""
        self._failed.discard(cursor)
