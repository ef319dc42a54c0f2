"""A real model that generates what a test wants: random weights, and a logits processor that lets one id through.

`generate()` itself is transformers' own, with all its ways of decoding.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, PreTrainedTokenizerFast

from tests.support.tokenizers import byte_level, fast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAD, BOS, EOS = 0, 2, 3
"""Ids of the special tokens in every tokenizer of `tests.support.tokenizers`."""


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """The byte-level tokenizer; not to be changed."""
    return fast(byte_level(), padding_side="left")


@cache
def model() -> Any:
    """A Llama of one layer and random weights; not to be changed.

    Any: by its types `generate()` refuses most of what its documentation allows.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    return LlamaForCausalLM(config)


def encode(text: str) -> list[int]:
    """The ids of a text."""
    ids: list[int] = tokenizer()(text, add_special_tokens=False).input_ids
    return ids


class Script(LogitsProcessor):
    """Makes each row generate its ids, one after the other; what follows a script is the end of sequence.

    Args:
        rows: The ids of each row.
        at: Called with the number of ids generated so far, before each.
    """

    def __init__(self, *rows: Sequence[int], at: Callable[[int], object] = lambda count: None) -> None:
        self._rows = rows
        self._at = at
        self._prompt_length: int | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._prompt_length is None:
            self._prompt_length = input_ids.shape[1]
        count = input_ids.shape[1] - self._prompt_length
        self._at(count)
        forced = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(self._rows):
            forced[row, ids[count] if count < len(ids) else EOS] = 0.0
        return torch.FloatTensor(forced)
