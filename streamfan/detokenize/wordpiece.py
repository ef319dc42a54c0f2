"""WordPiece (BERT): a prefix marks pieces that go on with a word, the others begin one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.detokenize.cleanup import REPLACEMENTS

if TYPE_CHECKING:
    from streamfan.detokenize.steps import Feed

# The decoder's own list, each over the result of the one before. It has one entry more than that of transformers, and
# elsewhere than here, but what it replaces overlaps with no later one. It sees one piece at a time, so nothing needs
# holding back.
_CLEANUP = (*REPLACEMENTS, (" do not", " don't"))


@dataclass(frozen=True, slots=True)
class WordPiece:
    """Joins words with spaces; the first piece stays as it is, prefix included."""

    prefix: str
    cleanup: bool
    splittable = False

    def open(self, *, first: bool) -> Feed:
        """Join one piece to those before it."""
        return self._clean if first else lambda text: self._clean(self._join(text))

    def _join(self, token: str) -> str:
        return token.removeprefix(self.prefix) if token.startswith(self.prefix) else " " + token

    def _clean(self, text: str) -> str:
        if self.cleanup:
            for pattern, replacement in _CLEANUP:
                text = text.replace(pattern, replacement)
        return text
