"""Any other tokenizer: decode the last few ids again and keep what is new.

For tokenizers in pure Python, those with a `decode` of their own, and decoders with a step that is not understood.

Reference: `decode`, for tokenizers whose text only grows as ids are added, within a window of `CAP` ids. Where a later
id rewrites earlier text nothing is retracted: the ids that are new are decoded on their own.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from streamfan.detokenize.plan import Detokenizer, Mode, Plan
from streamfan.detokenize.vocabulary import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamfan.detokenize.vocabulary import Decode

CAP = 16
"""How many ids may wait for their text; each push decodes at most three times, twice as many ids."""

# A character has at most 4 bytes, so the ids of an unfinished one are the last 3 at most.
_UNFINISHED = 3


class WindowPlan(Plan):
    """The plan of a tokenizer that is only known by its `decode`.

    Args:
        decode: The text of a list of ids; if it raises, the id just added has no text.
        is_dropped: Whether an id never has any text; such ids would only use up the window.
    """

    __slots__ = ("_decode", "is_dropped")

    def __init__(self, decode: Decode, is_dropped: Callable[[int], bool], *, mode: Mode) -> None:
        super().__init__(mode)
        self._decode = decode
        self.is_dropped = is_dropped

    def text(self, token_ids: list[int]) -> str | None:
        """Return the text of some ids; None if the tokenizer cannot decode them."""
        return ask(self._decode, token_ids)

    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        decodable = (
            id_ for id_ in reversed(prompt_ids or ()) if not self.is_dropped(id_) and self.text([id_]) is not None
        )
        return _WindowDetokenizer(self, list(islice(decodable, CAP))[::-1])


class _WindowDetokenizer(Detokenizer):
    """Keeps context ids, whose text is out, and pending ids, whose text is not."""

    __slots__ = ("_context", "_foreign", "_is_dropped", "_known", "_pending", "_text")

    def __init__(self, plan: WindowPlan, prompt: list[int]) -> None:
        self._text = plan.text
        self._is_dropped = plan.is_dropped
        cut = self._begun_character(prompt)
        self._context, self._pending = prompt[:cut], prompt[cut:]
        self._known = self._text(self._context) or ""
        self._foreign = self._rest(self._pending) or ""

    def push(self, token_id: int) -> str:
        if self._is_dropped(token_id):
            return ""
        pending = [*self._pending, token_id]
        rest = self._rest(pending)
        if rest is None:
            return ""
        self._pending = pending
        if (rest == "" or rest.endswith("\ufffd")) and len(pending) < CAP:
            return ""
        return self._release(rest)

    def finish(self) -> str:
        return self._release(self._rest(self._pending) or "")

    def _rest(self, pending: list[int]) -> str | None:
        text = self._text(self._context + pending)
        # Contents are compared, not lengths: a U+FFFD and the character that it becomes may be equally long.
        if text is None or text.startswith(self._known):
            return text if text is None else text[len(self._known) :]
        return self._text(pending)

    def _release(self, rest: str) -> str:
        self._context, self._pending = self._pending, []
        self._known = self._text(self._context) or ""
        foreign, self._foreign = self._foreign, ""
        return rest.removeprefix(foreign)

    def _begun_character(self, prompt: list[int]) -> int:
        """Return where the prompt's last ids begin that may be completed by the stream."""
        cuts = range(len(prompt), max(len(prompt) - _UNFINISHED, 0) - 1, -1)
        return next((cut for cut in cuts if not (self._text(prompt[:cut]) or "").endswith("\ufffd")), len(prompt))
