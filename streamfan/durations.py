"""How long things took, counted so that it takes no more room however many there are."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often something took how long.

    Attributes:
        bounds: Seconds, ascending.
        counts: How often it took so long at most, and longer than the bound before; last, longer than all of them.
        sum: Seconds, all together.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Durations:
    """Counts how long things took.

    Args:
        bounds: Seconds, ascending.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count something that took so long."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def read(self) -> Histogram:
        """All so far."""
        return Histogram(self._bounds, tuple(self._counts), self._sum)
