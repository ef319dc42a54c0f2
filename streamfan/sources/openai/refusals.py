"""What a server's refusal means: whether the same may be asked again, and what people should know of it."""

from __future__ import annotations

import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from streamfan.errors import SourceError
from streamfan.retry import wait_asked_for
from streamfan.sources.openai.deltas import complaint
from streamfan.sources.openai.faults import Unavailable, excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_HINTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the key as $OPENAI_API_KEY, or as the option source.key",
    HTTPStatus.FORBIDDEN: "the key as $OPENAI_API_KEY, or as the option source.key",
    HTTPStatus.NOT_FOUND: "look at the URL and at --model",
}


def refusal(server: str, status: int, headers: Mapping[str, str], said: str) -> SourceError:
    """The error for an answer that is no stream.

    Args:
        server: What errors call it.
        headers: By lower-case name.
        said: The body, its beginning at least.
    """
    text = f"{server} answered {status} {_phrase(status)}".rstrip() + _words(said)
    if status in _PASSING or (500 <= status < 600 and status != HTTPStatus.NOT_IMPLEMENTED):
        return Unavailable(text, after=wait_asked_for(headers))
    if 300 <= status < 400:
        return SourceError(f"{text}; redirects are not followed, give the final URL")
    hint = _HINTS.get(status)
    return SourceError(f"{text}\nTry: {hint}" if hint else text)


def _words(said: str) -> str:
    with suppress(ValueError, RecursionError):
        loaded = json.loads(said)
        if isinstance(loaded, dict) and (found := complaint(loaded)):
            return f": {found}"
    return f": {excerpt(said.strip())}" if said.strip() else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
