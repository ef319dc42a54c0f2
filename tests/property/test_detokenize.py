"""The joined text of any id sequence is the declared reference, for every family of tokenizers."""

from __future__ import annotations

from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders

from streamfan.detokenize import compile_plan
from tests.support.token_ids import (
    BYTE_FALLBACK_DECODERS,
    PIECE_DECODERS,
    DecoderVariant,
    IdSampler,
    decodable,
    pieces,
    text_of,
)
from tests.support.tokenizers import (
    FAMILIES,
    byt5,
    byte_fallback,
    byte_level,
    canine,
    end_of_word,
    fast,
    null_decoder,
    unigram,
    with_decoder,
    wordpiece,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

    from streamfan.detokenize import Plan

SEQUENCES = 3000

EXACT_FAMILIES = {
    "byte-level": byte_level,
    "wordpiece": wordpiece,
    "wordpiece without clean-up": partial(wordpiece, cleanup=False),
    "null": null_decoder,
}
BYTE_FAMILIES = {"byte fallback": (byte_fallback, "Llama"), "unigram": (unigram, "Metaspace always")}

skipping_or_not = pytest.mark.parametrize("skip_special_tokens", [False, True], ids=["kept", "skipped"])
with_bytes = pytest.mark.parametrize("build", [byte_fallback, unigram])
every_byte_fallback = pytest.mark.parametrize(
    "variant", BYTE_FALLBACK_DECODERS.values(), ids=BYTE_FALLBACK_DECODERS.keys()
)


@cache
def drawn(build: Callable[[], Tokenizer]) -> list[list[int]]:
    """Return the same sequences for each test of one tokenizer."""
    sampler, rng = IdSampler(build()), Random(1)
    return [sampler.draw(rng) for _ in range(SEQUENCES)]


def decode(tokenizer: Any, token_ids: list[int], *, skip_special_tokens: bool = False) -> str:
    return str(tokenizer.decode(decodable(token_ids), skip_special_tokens=skip_special_tokens))


def mismatches(plan: Plan, reference: Callable[[list[int]], str], sequences: list[list[int]]) -> list[list[int]]:
    return [token_ids for token_ids in sequences if text_of(plan, token_ids) != reference(token_ids)]


@skipping_or_not
@pytest.mark.parametrize("build", EXACT_FAMILIES.values(), ids=EXACT_FAMILIES.keys())
def test_joined_text_is_what_decode_says(build: Callable[[], Tokenizer], skip_special_tokens: bool) -> None:
    tokenizer = fast(build())
    plan = compile_plan(tokenizer, skip_special_tokens=skip_special_tokens)

    wrong = mismatches(plan, partial(decode, tokenizer, skip_special_tokens=skip_special_tokens), drawn(build))

    assert wrong == []


@skipping_or_not
@pytest.mark.parametrize(("build", "variant"), BYTE_FAMILIES.values(), ids=BYTE_FAMILIES.keys())
def test_joined_text_with_byte_fallback_is_byte_exact(
    build: Callable[[], Tokenizer], variant: str, skip_special_tokens: bool
) -> None:
    backend = build()
    plan = compile_plan(fast(backend), skip_special_tokens=skip_special_tokens)
    reference = partial(BYTE_FALLBACK_DECODERS[variant].byte_exact, backend, skip_special_tokens=skip_special_tokens)

    wrong = mismatches(plan, reference, drawn(build))

    assert wrong == []


@with_bytes
@every_byte_fallback
def test_every_byte_fallback_decoder_is_byte_exact(build: Callable[[], Tokenizer], variant: DecoderVariant) -> None:
    backend = with_decoder(build(), variant.decoder)
    plan = compile_plan(fast(backend))

    wrong = mismatches(plan, partial(variant.byte_exact, backend), drawn(build))

    assert wrong == []


@with_bytes
@every_byte_fallback
def test_text_is_what_decode_says_unless_decode_replaces_bytes(
    build: Callable[[], Tokenizer], variant: DecoderVariant
) -> None:
    backend = with_decoder(build(), variant.decoder)
    plan = compile_plan(fast(backend))
    clean = [token_ids for token_ids in drawn(build) if "\ufffd" not in decode(backend, token_ids)]

    wrong = mismatches(plan, partial(decode, backend), clean)

    assert len(clean) > SEQUENCES // 10
    assert wrong == []


@with_bytes
@every_byte_fallback
def test_exact_is_what_decode_says_of_broken_bytes_too(build: Callable[[], Tokenizer], variant: DecoderVariant) -> None:
    backend = with_decoder(build(), variant.decoder)
    plan = compile_plan(fast(backend), exact=True)

    wrong = mismatches(plan, partial(decode, backend), drawn(build))

    assert wrong == []


@pytest.mark.parametrize("build", [byte_fallback, unigram, wordpiece])
@pytest.mark.parametrize("decoder", PIECE_DECODERS.values(), ids=PIECE_DECODERS.keys())
def test_decoders_without_bytes_give_what_decode_says(build: Callable[[], Tokenizer], decoder: Any) -> None:
    backend = with_decoder(build(), decoder)
    plan = compile_plan(fast(backend))

    wrong = mismatches(plan, partial(decode, backend), drawn(build))

    assert wrong == []


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES.keys())
def test_rows_that_share_a_plan_do_not_meet(build: Callable[[], Tokenizer]) -> None:
    plan, rng = compile_plan(fast(build()), skip_special_tokens=True), Random(2)
    rows = drawn(build)[:300]
    expected = [text_of(plan, row) for row in rows]

    # Groups of up to five ids, row after row, as several tokens per step arrive.
    detokenizers, texts, position = [plan.start() for _ in rows], [""] * len(rows), [0] * len(rows)
    while any(position[row] < len(ids) for row, ids in enumerate(rows)):
        for row, ids in enumerate(rows):
            group = ids[position[row] : position[row] + rng.randrange(6)]
            texts[row] += "".join(map(detokenizers[row].push, group))
            position[row] += len(group)
    texts = [text + detokenizer.finish() for text, detokenizer in zip(texts, detokenizers, strict=True)]

    assert texts == expected


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES.keys())
@given(token_ids=st.lists(st.integers() | st.integers(0, 700), max_size=40), data=st.data())
def test_no_integer_raises_and_every_piece_is_whole(
    build: Callable[[], Tokenizer], token_ids: list[int], data: st.DataObject
) -> None:
    plan = plans(build)[data.draw(st.integers(0, 3))]

    given_out = pieces(plan, token_ids, prompt=token_ids[:3])

    assert "".join(given_out).encode().decode() == "".join(given_out)


@cache
def plans(build: Callable[[], Tokenizer]) -> list[Plan]:
    tokenizer = fast(build(), clean_up_tokenization_spaces=True)
    return [
        compile_plan(tokenizer),
        compile_plan(tokenizer, skip_special_tokens=True, exact=True),
        compile_plan(tokenizer, mode="continuation"),
        compile_plan(with_decoder(build(), decoders.CTC())),
    ]


@skipping_or_not
@pytest.mark.parametrize("build", [byt5, canine])
def test_window_gives_what_decode_says_for_slow_tokenizers(build: Callable[[], Any], skip_special_tokens: bool) -> None:
    tokenizer, rng = build(), Random(3)
    plan = compile_plan(tokenizer, skip_special_tokens=skip_special_tokens)
    texts = tokenizer.encode("naïve 日本語 👩‍👩‍👧\ufffd\n  a\x00b", add_special_tokens=True)
    sequences = [
        [rng.choice(texts) if rng.random() < 0.5 else rng.randrange(259) for _ in range(rng.randrange(40))]
        for _ in range(SEQUENCES)
    ]

    wrong = mismatches(plan, partial(decode, tokenizer, skip_special_tokens=skip_special_tokens), sequences)

    assert wrong == []


UNKNOWN_DECODERS = {
    "CTC": decoders.CTC(pad_token="<pad>", word_delimiter_token="##e"),
    "Fuse before bytes": decoders.Sequence([decoders.Fuse(), decoders.ByteFallback()]),
    "pattern after Fuse": decoders.Sequence([decoders.Fuse(), decoders.Replace("▁", " ")]),
}


@pytest.mark.parametrize("decoder", UNKNOWN_DECODERS.values(), ids=UNKNOWN_DECODERS.keys())
def test_window_gives_what_decode_says_for_unknown_steps(decoder: Any) -> None:
    backend = with_decoder(wordpiece(), decoder)
    plan = compile_plan(fast(backend))

    wrong = mismatches(plan, partial(decode, backend), drawn(wordpiece))

    assert wrong == []


@skipping_or_not
def test_window_gives_what_decode_says_for_word_ends(skip_special_tokens: bool) -> None:
    tokenizer = fast(end_of_word())
    plan = compile_plan(tokenizer, skip_special_tokens=skip_special_tokens)

    wrong = mismatches(plan, partial(decode, tokenizer, skip_special_tokens=skip_special_tokens), drawn(end_of_word))

    assert wrong == []
