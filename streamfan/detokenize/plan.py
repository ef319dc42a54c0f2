"""What a detokenizer promises, and the plan that it follows.

A plan is compiled once for a tokenizer and shared by every row, stream and thread; a detokenizer belongs to one stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Mode = Literal["standalone", "continuation"]
"""What the text stands for: itself alone, as `decode(generated)` sees it, or the text that follows a prompt."""


class Detokenizer(ABC):
    """Turns one stream's ids into text, in order, with constant work per id whatever the ids are.

    Text is never retracted and no piece of it splits a code point. U+FFFD comes out only where the model produced it,
    for bytes that cannot become valid any more, or in `finish`.
    """

    __slots__ = ()

    @abstractmethod
    def push(self, token_id: int) -> str:
        """Return the text that became final with this id, often all of it and sometimes none; never raises."""

    @abstractmethod
    def finish(self) -> str:
        """Return the text that was still held; nothing may be pushed afterwards."""


class Plan(ABC):
    """How the ids of one tokenizer become text; looks the same from every thread.

    It holds what the tokenizer was when the plan was compiled: after adding tokens or changing the decoder, compile
    again.
    """

    __slots__ = ("mode",)

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def start(self, prompt_ids: Sequence[int] = ()) -> Detokenizer:
        """Return the detokenizer of a new stream.

        Args:
            prompt_ids: The ids before the stream's own; they matter in `continuation` mode only, where a character that
                the prompt has begun is completed by the stream. None of the prompt's text comes out.
        """
        return self._begin(prompt_ids if self.mode == "continuation" else None)

    @abstractmethod
    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        """Return a new detokenizer; `prompt_ids` is None where nothing counts as having come before."""
