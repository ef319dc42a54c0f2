"""How one lane is doing, as its report and its log tell it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from streamfan.cursor import describe
from streamfan.report import State

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("streamfan.lane")

_LEVELS = {State.DEGRADED: logging.WARNING, State.FAILED: logging.ERROR}


class Health:
    """The error that counts for a lane, and each change of its state in the log, once; for any thread.

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
        self._logged = State.STARTING
        self._beats_fail = False

    def fault(self, error: BaseException) -> None:
        """The lane fails because of `error`."""
        self.error = error
        self.failing = True

    def note(self, state: State, trouble: Callable[[], str]) -> None:
        """Log `state` if it is another one than before.

        Args:
            trouble: Says why it is degraded.
        """
        with self._lock:
            before, self._logged = self._logged, state
        if state is not before:
            why = self._why(state, trouble)
            recovered = state is State.OK and before in {State.DEGRADED, State.FAILED}
            level = logging.WARNING if recovered else _LEVELS.get(state, logging.INFO)
            log.log(level, "sink %r is %s%s", self._id, state, f": {why}" if why else "")

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
