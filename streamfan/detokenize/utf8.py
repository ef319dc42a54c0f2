"""Bytes that arrive in pieces, to text in whole code points.

The result is what decoding all bytes at once with `errors="replace"` gives, which is also what Rust's `from_utf8_lossy`
gives. BOM and NUL are kept.
"""

from __future__ import annotations

from codecs import utf_8_decode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The longest code point has 4 bytes, so an unfinished one has at most 3.
MAX_HELD = 3


class Utf8:
    """Decodes one run of UTF-8, holding at most `MAX_HELD` bytes.

    Args:
        inherited: An unfinished character that is somebody else's. It comes out only if this run goes on with it; if
            not, it vanishes without a U+FFFD, because this run did not break it.

    Attributes:
        held: The bytes of a code point that is not complete yet.
    """

    __slots__ = ("_inherited", "held")

    def __init__(self, inherited: bytes = b"") -> None:
        self.held = inherited
        self._inherited = len(inherited) > 0

    def push(self, data: bytes) -> str:
        """Return the text that `data` completes."""
        if self._inherited and len(data) > 0:
            self._adopt(data)
        data = self.held + data
        text, used = utf_8_decode(data, "replace", False)
        self.held = data[used:]
        return text

    def finish(self) -> str:
        """Return U+FFFD if the run ends inside a code point that it contributed to, else nothing."""
        held, self.held = self.held, b""
        return "" if self._inherited else held.decode(errors="replace")

    def _adopt(self, data: bytes) -> None:
        self._inherited = False
        try:
            utf_8_decode(self.held + data[:1], "strict", False)
        except UnicodeDecodeError:
            self.held = b""


def whole_text(data: bytes) -> str | None:
    """Return the text of bytes that are whole code points; None if they are not."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def unfinished(backwards: Iterable[bytes]) -> bytes:
    """Return the bytes of the code point that a text breaks off in.

    Args:
        backwards: The text in pieces, the last one first; only as many are taken as are needed.
    """
    data = b""
    for piece in backwards:
        data = piece + data
        if len(data) >= MAX_HELD:
            break
    data = data[-MAX_HELD:]
    _, used = utf_8_decode(data, "replace", False)
    return data[used:]
