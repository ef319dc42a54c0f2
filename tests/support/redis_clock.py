"""The clock by which the Redis sink decides when a lease is to be renewed, in a test's hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1000.0
        for module in ("heartbeats", "presence", "producer", "requests"):
            monkeypatch.setattr(f"streamfan.sinks.redis.{module}.monotonic", lambda: self._now)

    def advance(self, seconds: float) -> None:
        """So much time passes."""
        self._now += seconds
