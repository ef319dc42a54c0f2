"""Connecting a sink: when to try, and for how long."""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING

from streamfan.retry import Backoff

if TYPE_CHECKING:
    from streamfan.options import LaneOptions


class Reaching:
    """The tries of one lane to connect its sink.

    Attributes:
        connected: Whether one has worked.
        decided: Set when it is known whether the destination can be reached at the start.
        at: When to try next, on the monotonic clock; `inf` where nobody needs the destination.
        error: Why the last try has failed; None if it has not.
    """

    def __init__(self, options: LaneOptions) -> None:
        self.connected = False
        self.decided = threading.Event()
        self.at = 0.0
        self.error: BaseException | None = None
        self._options = options
        self._tries = Backoff(options.connect_timeout)

    @property
    def trying(self) -> bool:
        """Whether it has failed so far, and will be tried again."""
        return self._tries.failures > 0

    def worked(self) -> None:
        """The sink is connected."""
        self.connected, self.error = True, None
        self._tries.reset()
        self.decided.set()

    def failed(self, error: BaseException, now: float, deadline: float, *, last: bool) -> bool:
        """Plan the next try; False where the destination is given up, until there is a new stream for it.

        Args:
            last: Nothing is tried after this.
        """
        at = None if last else self._tries.next_try(error, now, deadline)
        self.at = 0.0 if at is None else at
        self.error = error
        return at is not None

    def give_up(self) -> None:
        """From now on a new stream has one probe, shared by all that wait, with the retries of any piece."""
        self._tries = Backoff(self._options.max_elapsed)
        self.decided.set()

    def rest(self) -> None:
        """Nobody needs the destination for now."""
        self.at = inf
