"""The clean-up of transformers (`clean_up_tokenization_spaces`) for text that arrives in pieces.

It is ten replacements, each over the whole result of the one before, so it is ten filters in a row here. Each holds
back what may be the beginning of its pattern; the result is the same wherever the text is cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streamfan.detokenize.plan import Detokenizer, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLACEMENTS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)

# No pattern occurs or begins in a text without this: all of them begin with a space and go on with one of a few.
_SUSPECT = re.compile(" (?:[" + re.escape("".join(sorted({pattern[1] for pattern, _ in REPLACEMENTS}))) + r"]|\Z)")


class Replacer:
    """`str.replace` for a text in pieces; holds at most `len(pattern) - 1` characters.

    Attributes:
        held: The end of the text so far, if the pattern may begin there.
    """

    __slots__ = ("_pattern", "_replacement", "held")

    def __init__(self, pattern: str, replacement: str) -> None:
        self._pattern = pattern
        self._replacement = replacement
        self.held = ""

    def push(self, text: str) -> str:
        """Return what is certain now."""
        *done, rest = (self.held + text).split(self._pattern)
        cut = len(rest) - self._overlap(rest)
        self.held = rest[cut:]
        return self._replacement.join([*done, rest[:cut]])

    def finish(self) -> str:
        """Return what was held."""
        held, self.held = self.held, ""
        return held

    def _overlap(self, rest: str) -> int:
        sizes = range(min(len(self._pattern) - 1, len(rest)), 0, -1)
        return next((size for size in sizes if rest.endswith(self._pattern[:size])), 0)


class SpaceCleaner:
    """`clean_up_tokenization` for a text in pieces."""

    __slots__ = ("_idle", "_replacers")

    def __init__(self) -> None:
        self._replacers = [Replacer(pattern, replacement) for pattern, replacement in REPLACEMENTS]
        self._idle = True

    def push(self, text: str) -> str:
        """Return what is certain now."""
        if self._idle and _SUSPECT.search(text) is None:
            return text
        for replacer in self._replacers:
            text = replacer.push(text)
        self._idle = all(replacer.held == "" for replacer in self._replacers)
        return text

    def finish(self) -> str:
        """Return the rest, cleaned."""
        text = ""
        for replacer in self._replacers:
            text = replacer.push(text) + replacer.finish()
        return text


class CleanedPlan(Plan):
    """Another plan, with its text cleaned up."""

    __slots__ = ("_plan",)

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.mode)
        self._plan = plan

    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        return _CleanedDetokenizer(self._plan.start(prompt_ids or ()))


class _CleanedDetokenizer(Detokenizer):
    __slots__ = ("_cleaner", "_detokenizer")

    def __init__(self, detokenizer: Detokenizer) -> None:
        self._detokenizer = detokenizer
        self._cleaner = SpaceCleaner()

    def push(self, token_id: int) -> str:
        return self._cleaner.push(self._detokenizer.push(token_id))

    def finish(self) -> str:
        return self._cleaner.push(self._detokenizer.finish()) + self._cleaner.finish()
