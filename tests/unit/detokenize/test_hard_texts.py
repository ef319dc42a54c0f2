from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from streamfan.detokenize import compile_plan
from tests.support.token_ids import HARD_TEXTS, pieces, text_of
from tests.support.tokenizers import FAMILIES, byte_fallback, byte_level, ids_of, unigram

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

every_text = pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS.keys())


@every_text
@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES.keys())
def test_text_comes_out_as_decode_says(build: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = build()
    token_ids = tokenizer.encode(text, add_special_tokens=False).ids

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids, skip_special_tokens=False)


@every_text
def test_byte_level_text_comes_out_as_it_went_in(text: str) -> None:
    tokenizer = byte_level()

    streamed = text_of(compile_plan(tokenizer), tokenizer.encode(text).ids)

    assert streamed == text


@every_text
@pytest.mark.parametrize("build", [byte_level, byte_fallback, unigram])
def test_no_more_ids_wait_than_one_character_has_bytes(build: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = build()
    token_ids = tokenizer.encode(text, add_special_tokens=False).ids

    *streamed, last = pieces(compile_plan(tokenizer, mode="continuation"), token_ids)

    waiting = [len(list(run)) for silent, run in groupby(piece == "" for piece in streamed) if silent]
    assert max(waiting, default=0) <= 3
    assert last == ""


def test_a_newline_takes_no_space_with_it() -> None:
    tokenizer = byte_fallback()
    token_ids = ids_of(tokenizer, "▁", "▁a", "<0x0A>", "<0x0A>", "▁", "b", "<0x0A>")

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == " a\n\n b\n"


def test_adjacent_emoji_of_one_byte_run_come_out_once_each() -> None:
    tokenizer = byte_fallback()
    token_ids = tokenizer.encode("😀🎉😀").ids

    streamed = [piece for piece in pieces(compile_plan(tokenizer), token_ids) if piece != ""]

    assert streamed == ["😀", "🎉", "😀"]


@pytest.mark.parametrize("build", [byte_level, byte_fallback])
def test_byte_token_spelled_as_text_is_text(build: Callable[[], Tokenizer]) -> None:
    tokenizer = build()
    token_ids = tokenizer.encode("<0x41>").ids

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert len(token_ids) > 1
    assert streamed == "<0x41>"
