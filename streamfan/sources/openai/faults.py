"""What goes wrong on the way from a server: each is a `SourceError`, and its class says what is done about it."""

from __future__ import annotations

from streamfan.errors import SourceError

CUT = "..."
"""What an excerpt ends with that is not the whole."""

_SHOWN = 200


class Unavailable(SourceError):
    """The server could not be asked now: the same request is tried again, as long as no text has come.

    Args:
        message: What went wrong.
        after: Seconds to wait at least, where the server said so (`Retry-After`).
    """

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class CutOff(SourceError):
    """The text has an end that nobody meant: a connection that broke, or an answer without its last event."""


def excerpt(text: str) -> str:
    """What a server sent, short and on one line: it must not reach a terminal or a log as it is."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}{CUT}")
