"""Tokenizers whose every token is text of its own: Metaspace, WordPiece, and those without a decoder.

Reference: `decode`. What a piece becomes depends on nothing but whether it is the first of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.detokenize.plan import Detokenizer, Mode, Plan
from streamfan.detokenize.steps import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.detokenize.decoder import Pipeline
    from streamfan.detokenize.steps import Strip
    from streamfan.detokenize.vocabulary import Vocabulary


class PiecePlan(Plan):
    """The plan of a pipeline without byte fallback.

    Attributes:
        texts: Text by id, of pieces that are not first; filled as ids are met, so never beyond the vocabulary.
    """

    __slots__ = ("_leading", "_steps", "_vocabulary", "texts")

    def __init__(self, vocabulary: Vocabulary, pipeline: Pipeline, *, mode: Mode) -> None:
        super().__init__(mode)
        self._vocabulary = vocabulary
        self._steps = pipeline.before
        self._leading = pipeline.leading
        self.texts: dict[int, str] = {}

    def piece(self, token_id: int, *, first: bool) -> str | None:
        """Return the text of an id; None if it is no piece at all, and the next one may still be the first."""
        token = self._vocabulary.token(token_id)
        if token is None:
            return None
        text = render(self._steps, token, first=first)
        if not first:
            self.texts[token_id] = text
        return text

    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        if prompt_ids is None:
            return _PieceDetokenizer(self, first=True, leading=self._leading)
        return _PieceDetokenizer(self, first=False, leading=())


class _PieceDetokenizer(Detokenizer):
    __slots__ = ("_first", "_leading", "_piece", "_settled", "_texts")

    def __init__(self, plan: PiecePlan, *, first: bool, leading: Sequence[Strip]) -> None:
        self._texts = plan.texts
        self._piece = plan.piece
        self._first = first
        self._leading = [strip.begin() for strip in leading]
        self._settled = not first

    def push(self, token_id: int) -> str:
        if self._settled:
            text = self._texts.get(token_id)
            return text if text is not None else self._piece(token_id, first=False) or ""
        return self._push_early(token_id)

    def finish(self) -> str:
        return ""

    def _push_early(self, token_id: int) -> str:
        text = self._piece(token_id, first=self._first)
        if text is None:
            return ""
        self._first = False
        for strip in self._leading:
            text = strip.feed(text)
        self._settled = all(strip.left == 0 for strip in self._leading)
        return text
