"""Where a chunk may be cut: at a boundary that readers like, and at a size that the destination takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.options import Boundary

# The last white space, and what follows it; no backtracking over more than one word.
_LAST_WORD = re.compile(r"\s\S*\Z")
# Western full stops count only before white space ("3.14"); CJK ones, and line ends, always.
_SENTENCE = re.compile(r"""[.!?…]+["'”’)\]]*\s+|[。！？]+[」』”’]*|\n+""")


def deliverable(text: str, boundary: Boundary) -> int:
    """How many characters of `text` reach up to its last boundary; more text may follow."""
    match boundary:
        case "chunk":
            return len(text)
        case "word":
            last = _LAST_WORD.search(text)
            return last.start() + 1 if last else 0
        case "line":
            return text.rfind("\n") + 1
        case "sentence":
            return max((match.end() for match in _SENTENCE.finditer(text)), default=0)
        case "all":
            return 0


def fitting(text: str, size: Callable[[str], int], limit: int) -> str:
    """A prefix of `text` whose size is at most `limit`, and not much less; one character at least."""
    while len(text) > 1 and (taken := size(text)) > limit:
        text = text[: max(1, len(text) * limit // taken)]
    return text


def next_piece(text: str, boundary: Boundary, *, last: bool, full: bool, size: Callable[[str], int], limit: int) -> str:
    """What to deliver now of the text that waits; empty if it has to wait for a boundary.

    Args:
        last: No text will follow, so nothing is worth waiting for.
        full: More waits than fits, so waiting for a boundary would not end.
    """
    reach = len(text) if last and not full else deliverable(text, boundary)
    piece = text[:reach] if reach or not full else text
    small = fitting(piece, size, limit)
    if len(small) < len(piece):
        small = small[: deliverable(small, boundary)] or small
    return small
