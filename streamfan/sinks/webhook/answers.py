"""What a receiver's answer means for the text that was sent to it.

Source: the Standard Webhooks specification, version 1.0.0. The answer 409 with `Streamfan-Offset` is streamfan's own,
see docs/webhook.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from streamfan.errors import Permanent, Retryable
from streamfan.retry import wait_asked_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SHOWN = 200
_OFFSET = re.compile(r"\d{1,18}", re.ASCII)
# What is shorter is no secret, and would be found in the middle of words.
_SHORTEST_SECRET = 6


class Gone(Permanent):
    """The receiver wants nothing more, of any stream."""


class Moved(Retryable):
    """The receiver has said how much it holds, and wants the text from there.

    Args:
        held: UTF-8 bytes of this attempt, by its own account.
    """

    def __init__(self, message: str, *, held: int) -> None:
        super().__init__(message)
        self.held = held


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

    def without(self, secrets: Iterable[str]) -> Answer:
        """The same, where the receiver has not repeated any of `secrets`."""
        excerpt, headers = self.excerpt, dict(self.headers)
        # The longest first: one may be the beginning of another.
        for secret in sorted({form for each in secrets for form in _forms(each)}, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                excerpt = excerpt.replace(secret.encode(), b"***")
                headers = {name: value.replace(secret, "***") for name, value in headers.items()}
        return replace(self, excerpt=excerpt, headers=headers)


def _forms(secret: str) -> tuple[str, ...]:
    """The ways in which a receiver may write a secret: as it is, in JSON, in a URL."""
    escaped = json.dumps(secret)[1:-1]
    return (secret, escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe=""), quote_plus(secret))


def judge(answer: Answer, receiver: str) -> None:
    """Return if the receiver has taken what was sent.

    Args:
        answer: What it said.
        receiver: What errors call it.

    Raises:
        Retryable: It may take the same later.
        Moved: It answered 409, with how much it holds.
        Gone: It answered 410.
        Permanent: It will not take this, or is not where the URL says.
    """
    status, what = answer.status, f"{receiver} answered {answer}"
    if 200 <= status < 300:
        return
    if status in _PASSING or (500 <= status < 600 and status != HTTPStatus.NOT_IMPLEMENTED):
        raise Retryable(what, after=wait_asked_for(answer.headers))
    if status == HTTPStatus.CONFLICT and (offset := answer.headers.get("streamfan-offset")) is not None:
        raise _moved(offset.strip(), what)
    if status == HTTPStatus.GONE:
        raise Gone(f"{what}; nothing more is sent there")
    if 300 <= status < 400:
        raise Permanent(f"{what}{_towards(answer)}; redirects are not followed, give the final URL")
    raise Permanent(what)


def _moved(offset: str, what: str) -> Moved | Permanent:
    said = f"{what}, with Streamfan-Offset: {offset[:_SHOWN]!r}"
    if not _OFFSET.fullmatch(offset):
        return Permanent(f"{said}, which is no number of bytes")
    return Moved(said, held=int(offset))


def _towards(answer: Answer) -> str:
    location, _, _ = answer.headers.get("location", "").partition("?")
    return f", towards {location[:_SHOWN]!r}" if location else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
