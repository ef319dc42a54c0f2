"""What a receiver's answer means for the text that was sent to it.

Sources: the Standard Webhooks specification, version 1.0.0; RFC 9110, section 10.2.3, for `Retry-After`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable
from streamfan.events import now

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SHOWN = 200
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)

LONGEST_WAIT = 3600.0
"""Seconds that a receiver can ask for at most; a lane gives a stream up sooner."""


class Gone(Permanent):
    """The receiver wants nothing more, of any stream."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said.

    Attributes:
        headers: By lower-case name; of several with one name, the first.
        excerpt: The beginning of the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    excerpt: bytes = b""

    def __str__(self) -> str:
        said = self.excerpt.decode(errors="replace").strip()[:_SHOWN]
        # repr: what a stranger sends must not reach a terminal as it is.
        return f"{self.status} {_phrase(self.status)}".rstrip() + (f": {said!r}" if said else "")


def judge(answer: Answer, receiver: str) -> None:
    """Return if the receiver has taken what was sent.

    Args:
        answer: What it said.
        receiver: What errors call it.

    Raises:
        Retryable: It may take the same later.
        Gone: It answered 410.
        Permanent: It will not take this, or is not where the URL says.
    """
    status, what = answer.status, f"{receiver} answered {answer}"
    if 200 <= status < 300:
        return
    if status in _PASSING or (500 <= status < 600 and status != HTTPStatus.NOT_IMPLEMENTED):
        raise Retryable(what, after=wait_asked_for(answer.headers.get("retry-after")))
    if status == HTTPStatus.GONE:
        raise Gone(f"{what}; nothing more is sent there")
    if 300 <= status < 400:
        raise Permanent(f"{what}{_towards(answer)}; redirects are not followed, give the final URL")
    raise Permanent(what)


def _towards(answer: Answer) -> str:
    location, _, _ = answer.headers.get("location", "").partition("?")
    return f", towards {location[:_SHOWN]!r}" if location else ""


def wait_asked_for(retry_after: str | None) -> float | None:
    """The seconds that a `Retry-After` header asks for; None if it does not say, or names the past.

    Args:
        retry_after: A number of seconds, or a date.
    """
    text = (retry_after or "").strip()
    if _DIGITS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    left = (_aware(date) - now()).total_seconds()
    return min(left, LONGEST_WAIT) if left > 0 else None


def _aware(date: datetime) -> datetime:
    # A date that says -0000 comes back naive, and is in UTC all the same.
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
