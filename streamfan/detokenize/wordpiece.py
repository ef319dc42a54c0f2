"""WordPiece (BERT): a prefix marks pieces that go on with a word, the others begin one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamfan.detokenize.steps import Feed

# In this order, each over the result of the one before. It is the decoder's own list, one entry longer than that of
# transformers, and it sees one piece at a time, so nothing needs holding back.
_CLEANUP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


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
