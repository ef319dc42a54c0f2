"""Byte-level BPE (GPT-2, Llama 3, Qwen): a token spells bytes, one character for each.

Reference: `decode`. The options of the decoder step (`add_prefix_space`, `trim_offsets`, `use_regex`) do not change
what it decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.detokenize.plan import Detokenizer, Mode, Plan
from streamfan.detokenize.utf8 import Utf8, unfinished, whole_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.detokenize.vocabulary import Vocabulary


def _alphabet() -> dict[str, int]:
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    # Bytes without a visible character of their own borrow those from U+0100 on, in order.
    hidden = sorted(set(range(0x100)).difference(shown))
    return {chr(byte): byte for byte in shown} | {chr(0x100 + n): byte for n, byte in enumerate(hidden)}


_ALPHABET = _alphabet()


def token_bytes(token: str) -> bytes:
    """Return the bytes that a token spells; one character outside the alphabet makes the whole token plain text."""
    try:
        return bytes([_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode()


class ByteLevelPlan(Plan):
    """The plan of a decoder that is a single ByteLevel step.

    Attributes:
        texts: Text by id, for ids that spell whole code points; filled as ids are met, so never beyond the vocabulary.
    """

    __slots__ = ("_fragments", "_vocabulary", "texts")

    def __init__(self, vocabulary: Vocabulary, *, mode: Mode) -> None:
        super().__init__(mode)
        self._vocabulary = vocabulary
        self._fragments: dict[int, bytes] = {}
        self.texts: dict[int, str] = {}

    def spelled(self, token_id: int) -> bytes:
        """Return the bytes of an id, none if it has no text."""
        fragment = self._fragments.get(token_id)
        return self._look_up(token_id) if fragment is None else fragment

    def _look_up(self, token_id: int) -> bytes:
        token = self._vocabulary.token(token_id)
        if token is None:
            return b""
        data = self._fragments[token_id] = token_bytes(token)
        text = whole_text(data)
        # Of a part of a character only the stream's own decoder can say what it becomes.
        if text is not None:
            self.texts[token_id] = text
        return data

    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        return _ByteLevelDetokenizer(self, unfinished(self.spelled(id_) for id_ in reversed(prompt_ids or ())))


class _ByteLevelDetokenizer(Detokenizer):
    __slots__ = ("_spelled", "_texts", "_utf8")

    def __init__(self, plan: ByteLevelPlan, inherited: bytes) -> None:
        self._spelled = plan.spelled
        self._texts = plan.texts
        self._utf8 = Utf8(inherited)

    def push(self, token_id: int) -> str:
        # The short way for nearly every token: whole characters, and none begun before them.
        if len(self._utf8.held) == 0:
            text = self._texts.get(token_id)
            if text is not None:
                return text
        return self._utf8.push(self._spelled(token_id))

    def finish(self) -> str:
        return self._utf8.finish()
