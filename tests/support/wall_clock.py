"""The time of day, in a test's hands: what is set when somebody, or a server of the network, sets the clock."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from streamfan import attempts, events
from tests.support.faults import injects

if TYPE_CHECKING:
    from datetime import datetime

    import pytest


class WallClock:
    """Goes as the real one does, but for its jumps; every module that has been imported is shown this one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = timedelta()
        self._really = events.now
        modules = [name for name in sys.modules if name.startswith("streamfan.")]
        for name in modules:
            if getattr(sys.modules[name], "now", None) is self._really:
                monkeypatch.setattr(f"{name}.now", self.now)
        monkeypatch.setattr("streamfan.attempts.time_ns", self.time_ns)
        # What was numbered by a clock that was ahead must not be remembered.
        monkeypatch.setattr("streamfan.attempts._latest", attempts._latest)

    def now(self) -> datetime:
        """What time it is."""
        return self._really() + self._ahead

    def time_ns(self) -> int:
        """The same as the system says it."""
        return time.time_ns() + round(self._ahead.total_seconds() * 1e9)

    @injects
    def jump(self, **by: float) -> None:
        """Set it forward, or back."""
        self._ahead += timedelta(**by)
