"""The headers that a user may add to requests: none that changes what is sent, where it ends, or who signed it.

Source: RFC 9110, section 5, for names and values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
# Visible ASCII, with spaces and tabs inside it: a line's end would begin a header of the value's own choice.
_VALUE = re.compile(r"[!-~](?:[ -~\t]*[!-~])?", re.ASCII)

# Set by the sink, or by the connection: two of a kind would let sender and receiver see two different requests.
_TAKEN = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)


def problem_with(headers: Mapping[str, str]) -> str | None:
    """Why `headers` cannot be sent, without any of the values; None if they can."""
    seen: set[str] = set()
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            return f"{name!r} cannot be the name of a header"
        if name.lower() in _TAKEN:
            return f"header {name!r} is not yours to set: the sink does, or the connection"
        if name.lower() in seen:
            return f"header {name!r} is there twice, in upper and lower case"
        if not _VALUE.fullmatch(value):
            return (
                f"the value of header {name!r} cannot be sent, expected visible ASCII characters, "
                "with spaces only between them, and no line's end"
            )
        seen.add(name.lower())
    return None
