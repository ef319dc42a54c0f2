from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tokenizers import decoders

from streamfan.detokenize import compile_plan
from tests.support.token_ids import pieces, text_of
from tests.support.tokenizers import fast, ids_of, null_decoder, unigram, with_decoder, word_level, wordpiece

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer


@pytest.mark.parametrize(("scheme", "expected"), [("always", "ab c d "), ("first", "ab c d "), ("never", " a b  c d ")])
def test_metaspace_deletes_every_marker_of_the_first_piece(scheme: str, expected: str) -> None:
    tokenizer = word_level("▁a▁b▁", "▁c", "▁d▁", decoder=decoders.Metaspace(prepend_scheme=scheme))

    streamed = text_of(compile_plan(tokenizer), [0, 1, 2])

    assert streamed == tokenizer.decode([0, 1, 2]) == expected


def test_metaspace_knows_its_own_marker_only() -> None:
    tokenizer = word_level("_a", "_b", "▁c", decoder=decoders.Metaspace(replacement="_"))

    streamed = text_of(compile_plan(tokenizer), [0, 1, 2])

    assert streamed == tokenizer.decode([0, 1, 2]) == "a b▁c"


def test_strip_budget_outlasts_the_first_piece() -> None:
    steps = [decoders.Metaspace(prepend_scheme="always"), decoders.Fuse(), decoders.Strip("a", 3, 0)]
    tokenizer = word_level("▁a", "", "a", "aa", "▁b", decoder=decoders.Sequence(steps))
    plan = compile_plan(tokenizer)

    assert text_of(plan, [0, 1, 3, 2]) == tokenizer.decode([0, 1, 3, 2]) == "a"
    assert text_of(plan, [2, 0, 4]) == tokenizer.decode([2, 0, 4]) == " a b"


def test_wordpiece_keeps_the_prefix_of_the_first_piece() -> None:
    tokenizer = word_level("##x", "##y", "z", decoder=decoders.WordPiece())

    streamed = pieces(compile_plan(tokenizer), [0, 1, 2, 0])

    assert streamed == ["##x", "y", " z", "x", ""]


@pytest.mark.parametrize("cleanup", [True, False])
@pytest.mark.parametrize(
    "tokens",
    [
        ("It", "is", ".", "?", "!", ",", "it"),
        ("is", "n't", "it", "'s", "'m", "'ve", "'re"),
        ("I", "do not", "' ", "x"),
        (" . ,", " ' ", "x"),
    ],
    ids=["punctuation", "contractions", "do not", "first piece"],
)
def test_wordpiece_clean_up_acts_on_each_piece(cleanup: bool, tokens: tuple[str, ...]) -> None:
    tokenizer = word_level(*tokens, decoder=decoders.WordPiece(cleanup=cleanup))
    token_ids = list(range(len(tokens)))

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids)
    assert (
        streamed != text_of(compile_plan(with_decoder(tokenizer, decoders.WordPiece(cleanup=False))), token_ids)
    ) is cleanup


def test_tokenizer_without_a_decoder_joins_with_spaces() -> None:
    tokenizer = null_decoder()

    streamed = pieces(compile_plan(tokenizer), ids_of(tokenizer, "Nobody", "reads", "."))

    assert streamed == ["Nobody", " reads", " .", ""]


@pytest.mark.parametrize(("build", "token"), [(wordpiece, "The"), (null_decoder, "The"), (unigram, "▁The")])
def test_skipped_special_token_is_not_the_first_piece_and_a_kept_one_is(
    build: Callable[[], Tokenizer], token: str
) -> None:
    tokenizer = build()
    (token_id,) = ids_of(tokenizer, token)

    skipping = text_of(compile_plan(tokenizer, skip_special_tokens=True), [0, 2, 10**6, -1, token_id])
    keeping = text_of(compile_plan(tokenizer), [2, token_id])

    assert skipping == token.strip("▁")
    assert keeping == "<s> " + token.strip("▁")


def test_empty_token_counts_as_the_first_piece() -> None:
    tokenizer = word_level("a", "", decoder=None)

    streamed = text_of(compile_plan(tokenizer), [1, 0])

    assert streamed == tokenizer.decode([1, 0]) == " a"


def test_only_what_decode_skips_is_skipped_whatever_the_flag_says() -> None:
    tokenizer = fast(wordpiece())
    tokenizer.add_tokens(["<s>"])
    token_ids = [2, *ids_of(wordpiece(), "The", "<think>")]

    streamed = text_of(compile_plan(tokenizer, skip_special_tokens=True), token_ids)

    assert not tokenizer.added_tokens_decoder[2].special
    assert streamed == tokenizer.decode(token_ids, skip_special_tokens=True) == "The <think>"
