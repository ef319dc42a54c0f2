"""Which ids end a sequence and which only fill it up, from wherever that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    TokenIds = int | Iterable[int]


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """The ids that `generate()` stops at, and those that keep a batch rectangular.

    Attributes:
        eos: Each of them ends a sequence.
        pad: What a row is given after its end, where that is not an `eos` itself.
        left_pad: What fills short prompts up from the left.
        certain: Whether `eos` is what `generate()` goes by, and not only what the tokenizer suggests.
    """

    eos: frozenset[int]
    pad: int | None
    left_pad: int | None
    certain: bool

    @classmethod
    def find(cls, model: Any, tokenizer: Any, eos: TokenIds | None, pad: int | None) -> SpecialIds:
        """The ids as they were given, else the model's, else the tokenizer's.

        Args:
            model: Anything with a `generation_config`, or None.
            tokenizer: May lack both ids.
            eos: One id, several, or a tensor of them; None where nothing was given.
            pad: None where nothing was given.
        """
        config = getattr(model, "generation_config", None)
        certain = eos is not None or config is not None
        if eos is None:
            eos = getattr(config if certain else tokenizer, "eos_token_id", None)
        if pad is None:
            pad = getattr(config, "pad_token_id", None)
        # Prompts are padded by the tokenizer, whatever the model fills up with.
        left_pad = getattr(tokenizer, "pad_token_id", None)
        return cls(_ids(eos), pad, pad if left_pad is None else left_pad, certain)

    def without_left_padding(self, ids: Sequence[int]) -> Sequence[int]:
        """The prompt in `ids`, a row of a batch."""
        start = 0
        while start < len(ids) and ids[start] == self.left_pad:
            start += 1
        return ids[start:]


def _ids(value: Any) -> frozenset[int]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None:
        return frozenset()
    return frozenset((value,) if isinstance(value, int) else value)
