"""The steps of a decoder that act on one piece at a time.

A step is opened for each piece, told whether it is the first one of the stream, and then fed that piece's text. Where
bytes may have to be decoded first a piece arrives in parts, and only a `splittable` step gives the same text then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Feed = Callable[[str], str]


class Step(Protocol):
    """A step of a decoder; immutable."""

    @property
    def splittable(self) -> bool:
        """Whether feeding a piece in parts gives the same text as feeding it whole."""

    def open(self, *, first: bool) -> Feed:
        """Return what to call, in order, with the text of one piece."""


def open_piece(steps: Sequence[Step], *, first: bool) -> Feed:
    """Open every step for one piece, each fed with what the one before it returns."""
    feeds = [step.open(first=first) for step in steps]

    def feed(text: str) -> str:
        for each in feeds:
            text = each(text)
        return text

    return feed


def render(steps: Sequence[Step], token: str, *, first: bool) -> str:
    """Return the text of a token that is a whole piece."""
    return open_piece(steps, first=first)(token)


@dataclass(frozen=True, slots=True)
class Replace:
    """Replaces a fixed string within each piece."""

    pattern: str
    content: str

    @property
    def splittable(self) -> bool:
        """A pattern of one character cannot lie across a cut."""
        return len(self.pattern) == 1

    def open(self, *, first: bool) -> Feed:
        """Replace in each part on its own."""
        return lambda text: text.replace(self.pattern, self.content)


@dataclass(frozen=True, slots=True)
class Strip:
    """Removes up to `start` times `content`, a single character, from the beginning."""

    content: str
    start: int
    splittable = True

    def open(self, *, first: bool) -> Feed:
        """Strip a piece, across its parts."""
        return self.begin().feed

    def begin(self) -> Stripping:
        """Return the state of stripping one text."""
        return Stripping(self.content, self.start)


class Stripping:
    """Strips the beginning of one text that arrives in parts.

    Attributes:
        left: How many more characters may be removed; 0 once another one has been seen.
    """

    __slots__ = ("_content", "left")

    def __init__(self, content: str, left: int) -> None:
        self._content = content
        self.left = left

    def feed(self, text: str) -> str:
        """Return what remains of `text`."""
        if self.left == 0:
            return text
        rest = text.lstrip(self._content)
        removed = min(len(text) - len(rest), self.left)
        self.left = self.left - removed if rest == "" else 0
        return text[removed:]


@dataclass(frozen=True, slots=True)
class Spaced:
    """Puts a space before every piece but the first: what tokenizers without a decoder do."""

    splittable = False

    def open(self, *, first: bool) -> Feed:
        """Put the space where it belongs."""
        return (lambda text: text) if first else (lambda text: " " + text)
