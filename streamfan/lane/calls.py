"""The calls to one sink, one at a time: what they return or raise, and which of them does not return.

A lane's thread holds the lane's lock all the time but in here and while it sleeps, so that others may look after its
cursors while a sink's method hangs.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from streamfan.cursor import describe
from streamfan.forks import leave_child

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamfan.counters import Counters
    from streamfan.options import LaneOptions

T = TypeVar("T")
log = logging.getLogger("streamfan.lane")

# Seconds after which a lane is looked after whose sink has not returned.
_LONG = 0.05


@dataclass(frozen=True, slots=True)
class Call:
    """A call to the sink that has not returned.

    Attributes:
        limit: When it has taken too long, on the monotonic clock.
    """

    method: str
    started: float
    limit: float

    @property
    def late(self) -> bool:
        """Whether it has taken too long."""
        return monotonic() >= self.limit


class Calls:
    """Calls a sink.

    Args:
        id: The lane's, for its log.
        lock: The lane's; held by whoever calls `attempt`, and let go of while the sink is at work.
        counters: Where calls and errors are counted.

    Attributes:
        current: The call that has not returned; None between two of them.
        trouble: What became of the last one that failed.
    """

    def __init__(self, id: str, options: LaneOptions, lock: threading.Lock, counters: Counters) -> None:
        self.current: Call | None = None
        self.trouble = ""
        self._id = id
        self._options = options
        self._lock = lock
        self._counters = counters
        self._process = os.getpid()

    @property
    def stalled_in(self) -> str | None:
        """The method that has not returned in time."""
        call = self.current
        return call.method if call is not None and call.late else None

    @property
    def lasts_long(self) -> bool:
        """Whether one is under way that takes long."""
        call = self.current
        return call is not None and monotonic() - call.started >= _LONG

    def attempt(self, what: str, call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
        """Call the sink, and give back what it returned, or raised."""
        patience = self._options.connect_timeout if what == "connect" else self._options.call_timeout
        self.current = Call(what, now := monotonic(), now + patience)
        self._lock.release()
        try:
            returned = call()
        except BaseException as error:  # foreign code: even one that raises SystemExit fails alone
            leave_child(self._process, error)
            log.debug("sink %r: %s() raised", self._id, what, exc_info=True)
            self._counters.fail(what, error)
            self.trouble = f"{what}() failed, trying again: {describe(error)}"
            forget_frames(error)
            return None, error
        else:
            # Here and not below: in a forked child nobody lets go of the lock.
            leave_child(self._process)
            if what == "write":
                self._counters.send(monotonic() - now)
            return returned, None
        finally:
            self._lock.acquire()
            self.current = None


def forget_frames(error: BaseException) -> None:
    """Keep what an error says, and not where it was raised.

    From there frames lead to the lane's own, to the streams that it was at, and to what they had met: it would all be
    kept for as long as the last error is.
    """
    errors, seen = [error], {id(error)}
    while errors:
        each = errors.pop()
        # Not as a method: its class may be anybody's.
        BaseException.with_traceback(each, None)
        parts = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for other in (each.__cause__, each.__context__, *parts):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                errors.append(other)
