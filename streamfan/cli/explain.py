"""An error in words for people, with a way to find out more about one that nobody foresaw."""

from __future__ import annotations

from streamfan.errors import StreamfanError, text_of

TRACEBACK_VARIABLE = "STREAMFAN_TRACEBACK"


def explain(error: BaseException) -> str:
    """The text of an error that was foreseen; else its type too, and what to try."""
    if isinstance(error, StreamfanError):
        return str(error)
    what = " ".join(f"{type(error).__name__}: {text_of(error)}".split())
    return f"unexpected {what}\nTry: {TRACEBACK_VARIABLE}=1 before the command, for where it comes from"
