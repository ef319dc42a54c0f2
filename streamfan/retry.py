"""Which errors may pass, and when to try again.

The pauses are "full jitter": a random part of a bound that doubles, so that clients that failed together do not come
back together.

Source: RFC 9110, section 10.2.3, for `Retry-After`.
"""

from __future__ import annotations

import errno
import random
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streamfan.errors import Retryable
from streamfan.events import now

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EINTR,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
    }
)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)

LONGEST_WAIT = 3600.0
"""Seconds that a server can ask for at most; who tries again has limits of its own, and mostly shorter ones."""


def may_pass(error: BaseException) -> bool:
    """Whether `error` is worth another try."""
    if isinstance(error, BrokenPipeError):
        return False
    if isinstance(error, Retryable | TimeoutError | ConnectionError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


class Backoff:
    """The tries of one piece.

    Args:
        max_elapsed: Seconds from the first failure within which the last try begins.
    """

    __slots__ = ("_failures", "_first_failure", "_max_elapsed")

    def __init__(self, max_elapsed: float) -> None:
        self._max_elapsed = max_elapsed
        self.reset()

    def reset(self) -> None:
        """Forget past failures: the next piece has all its tries."""
        self._failures = 0
        self._first_failure = 0.0

    def exhausted(self, now: float) -> bool:
        """Whether the time for tries is over."""
        return self._failures > 0 and now >= self._first_failure + self._max_elapsed

    @property
    def failures(self) -> int:
        """How many tries of this piece have failed."""
        return self._failures

    def next_try(self, error: BaseException, now: float, deadline: float) -> float | None:
        """When to try again after `error`; None if not at all.

        Args:
            now: The monotonic clock.
            deadline: Nothing is tried after this, on the same clock.
        """
        if not may_pass(error):
            return None
        if self._failures == 0:
            self._first_failure = now
        pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures))  # noqa: S311 - not a secret
        self._failures = min(self._failures + 1, 63)
        last = self._first_failure + self._max_elapsed
        # A time asked for that comes too late, however late, leaves one more try when the time is over.
        after = min((error.after if isinstance(error, Retryable) else None) or 0.0, last - now)
        # At least the pause: a destination that says "at once" whatever happens must not be hammered.
        at = now + max(pause, after)
        return at if at <= min(last, deadline) else None


def wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, a number or a date; None if it does not say, or names the past.

    A date is compared with the answer's own `Date`, where there is one: the server's clock may be wrong, or ours.

    Args:
        headers: Those of the answer, by lower-case name.
    """
    text = headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    until = _date(text)
    if until is None:
        return None
    left = (until - (_date(headers.get("date", "")) or now())).total_seconds()
    return min(left, LONGEST_WAIT) if left > 0 else None


def _date(text: str) -> datetime | None:
    # Here, for only who talks to servers needs it.
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # One that says -0000 comes back naive, and is in UTC all the same.
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
