"""How one lane is doing, as its report and its log tell it."""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.cursor import describe
from streamfan.report import State

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("streamfan.lane")

# How long nothing more is said of a lane that is degraded again and again.
_QUIET = 10.0
_LEVELS = {State.DEGRADED: logging.WARNING, State.FAILED: logging.ERROR}


class Health:
    """The error that counts for a lane, and each change of its state in the log, once; for any thread.

    What comes and goes, as where a destination is busy now and then, is told every 10 s at most, with how often it was.

    Args:
        id: The lane's.

    Attributes:
        failing: Whether what failed last has not worked since.
        error: The last error that counted; None if there was none.
    """

    def __init__(self, id: str) -> None:
        self.failing = False
        self.error: BaseException | None = None
        self._id = id
        self._lock = threading.Lock()
        self._state = self._logged = State.STARTING
        self._times = 0
        self._quiet_until = 0.0
        self._beats_fail = False

    def fault(self, error: BaseException) -> None:
        """The lane fails because of `error`."""
        self.error = error
        self.failing = True

    def note(self, state: State, trouble: Callable[[], str]) -> None:
        """Log `state` if it is another one than was logged.

        Args:
            trouble: Says why it is degraded.
        """
        with self._lock:
            begins, self._state = state is not self._state, state
            if state is self._logged:
                return
            times = self._times_to_tell(begins) if state is State.DEGRADED else 1
            if not times:
                return
            before, self._logged = self._logged, state
        why = self._why(state, trouble)
        often = f", {times:,} times since that was last said" if times > 1 else ""
        recovered = state is State.OK and before in {State.DEGRADED, State.FAILED}
        level = logging.WARNING if recovered else _LEVELS.get(state, logging.INFO)
        log.log(level, "sink %r is %s%s%s", self._id, state, often, f": {why}" if why else "")

    def _times_to_tell(self, begins: bool) -> int:
        """How often it was degraded since that was last said; 0 while it is too soon to say so again."""
        self._times += begins
        if (now := monotonic()) < self._quiet_until:
            return 0
        self._quiet_until = now + _QUIET
        times, self._times = self._times, 0
        return times

    def beaten(self, error: BaseException | None) -> None:
        """Log that a beat has failed, once for an outage: there may be many streams, and each has a beat of its own."""
        if error is not None:
            level = logging.DEBUG if self._beats_fail else logging.WARNING
            log.log(level, "sink %r: beat() failed: %s", self._id, describe(error))
        self._beats_fail = error is not None

    def _why(self, state: State, trouble: Callable[[], str]) -> str:
        if state is State.FAILED and self.error is not None:
            return describe(self.error)
        return trouble() if state is State.DEGRADED else ""
