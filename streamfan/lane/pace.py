"""Whether text flows, so that a lane looks for it by itself and nobody has to wake it for each piece.

What wakes a thread costs the model's thread more than what it then does: both want the interpreter's lock. So while one
piece follows the other a lane sleeps for its linger and looks again, and is woken only after a pause.
"""

from __future__ import annotations

from math import inf

# Where nothing has been written for so many lingers the flow is over.
_PAUSE = 1.5
# Who lingers no longer than this wants each piece at once.
_SHORTEST = 0.001


class Pace:
    """The pace of one lane; written on its thread, and read by others.

    Attributes:
        flows: Whether text flows: the lane looks for it by itself, `linger` after it last wrote.
    """

    def __init__(self, linger: float) -> None:
        self.flows = False
        self._linger = linger
        self._wrote_at = -inf

    def wrote(self, now: float) -> None:
        """Text was written, at `now` on the monotonic clock."""
        self.flows = self._linger > _SHORTEST and now < self._over_at
        self._wrote_at = now

    def look_at(self, now: float) -> float:
        """When to look for text next, on the monotonic clock; `inf` where that is left to others."""
        self.flows = self.flows and now < self._over_at
        if not self.flows:
            return inf
        return min(max(self._wrote_at + self._linger, now + self._linger / 4), self._over_at)

    @property
    def _over_at(self) -> float:
        return self._wrote_at + _PAUSE * self._linger
