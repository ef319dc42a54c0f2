from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from streamfan.detokenize import compile_plan
from tests.support.token_ids import pieces, text_of
from tests.support.tokenizers import (
    FAMILIES,
    byt5,
    byte_fallback,
    byte_level,
    end_of_word,
    ids_of,
    null_decoder,
    unigram,
    wordpiece,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenizers import Tokenizer


@pytest.mark.parametrize(
    ("build", "tokens", "standalone", "continuation"),
    [
        (byte_level, ["Ġtwo", "Ġwords"], " two words", " two words"),
        (byte_fallback, ["▁two", "▁words"], "two words", " two words"),
        (unigram, ["▁reads", "▁two"], "reads two", " reads two"),
        (wordpiece, ["two", "##s"], "twos", " twos"),
        (null_decoder, ["Zoë", "reads"], "Zoë reads", " Zoë reads"),
        (end_of_word, ["two</w>", "the</w>"], "two the", " two the"),
    ],
)
def test_space_between_prompt_and_text_survives_in_a_continuation_only(
    build: Callable[[], Tokenizer], tokens: list[str], standalone: str, continuation: str
) -> None:
    tokenizer = build()
    token_ids, prompt = ids_of(tokenizer, *tokens), ids_of(tokenizer, tokens[-1])

    assert text_of(compile_plan(tokenizer), token_ids, prompt=prompt) == standalone
    assert text_of(compile_plan(tokenizer, mode="continuation"), token_ids, prompt=prompt) == continuation


@pytest.mark.parametrize("build", [byte_fallback, unigram, wordpiece, null_decoder])
def test_a_continuation_of_a_prompt_that_is_not_known_as_ids_has_its_space_too(
    build: Callable[[], Tokenizer],
) -> None:
    tokenizer = build()
    token_ids = tokenizer.encode("reads").ids

    streamed = text_of(compile_plan(tokenizer, mode="continuation"), token_ids, prompt=())

    assert streamed.startswith(" ")


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES.keys())
def test_prompt_and_continuation_join_to_what_decode_says(build: Callable[[], Tokenizer]) -> None:
    tokenizer, rng = build(), Random(5)
    prompt_plan, plan = compile_plan(tokenizer), compile_plan(tokenizer, mode="continuation")
    token_ids = tokenizer.encode("The fox 😀 reads 日本 two  words. <think> It isn't").ids

    cuts = [rng.randrange(1, len(token_ids)) for _ in range(50)]
    joined = [
        text_of(prompt_plan, token_ids[:cut]).rstrip("\ufffd") + text_of(plan, token_ids[cut:], prompt=token_ids[:cut])
        for cut in cuts
    ]

    assert set(joined) == {tokenizer.decode(token_ids, skip_special_tokens=False)}


def byte_ids(tokenizer: Tokenizer, data: bytes) -> list[int]:
    return ids_of(tokenizer, *(f"<0x{byte:02X}>" for byte in data))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("prompt", "generated", "expected"),
    [
        (b"a\xe6\x97", b"\xa5", "日"),
        (b"\xf0", b"\x9f\x98\x80", "😀"),
        (b"a\xe6\x97", b"", ""),
        (b"\xe6\x97\xa5", b"\xe6", "\ufffd"),
    ],
    ids=["completed", "begun with one byte", "nothing generated", "the text's own"],
)
def test_character_begun_by_the_prompt_belongs_to_the_text_that_completes_it(
    exact: bool, prompt: bytes, generated: bytes, expected: str
) -> None:
    tokenizer = byte_fallback()
    plan = compile_plan(tokenizer, mode="continuation", exact=exact)

    streamed = text_of(plan, byte_ids(tokenizer, generated), prompt=byte_ids(tokenizer, prompt))

    assert streamed == expected


@pytest.mark.parametrize("generated", ["s", "<0xFF>", "<0x41>"])
def test_character_that_the_prompt_left_broken_leaves_no_mark_in_the_text(generated: str) -> None:
    tokenizer = byte_fallback()
    plan = compile_plan(tokenizer, mode="continuation")
    token_ids = ids_of(tokenizer, generated)

    streamed = text_of(plan, token_ids, prompt=byte_ids(tokenizer, b"\xe6\x97"))

    assert streamed == text_of(plan, token_ids)


def test_character_that_the_text_broke_is_replaced() -> None:
    tokenizer = byte_fallback()
    plan = compile_plan(tokenizer, mode="continuation")
    token_ids = [*byte_ids(tokenizer, b"\x97"), *ids_of(tokenizer, "s")]

    streamed = pieces(plan, token_ids, prompt=byte_ids(tokenizer, b"\xe6"))

    assert streamed == ["", "\ufffds", ""]


class BackwardsCounted(list[int]):
    looked_at = 0

    def __reversed__(self) -> Iterator[int]:
        for token_id in super().__reversed__():
            self.looked_at += 1
            yield token_id


@pytest.mark.parametrize("build", [byte_level, byte_fallback])
def test_prompt_is_looked_at_no_further_than_a_character_reaches_back(build: Callable[[], Tokenizer]) -> None:
    tokenizer = build()
    prompt = BackwardsCounted(tokenizer.encode("words " * 500).ids)

    compile_plan(tokenizer, mode="continuation").start(prompt)

    assert 0 < prompt.looked_at <= 3


class Replacing:
    """A tokenizer of bytes that shows what is broken."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return bytes(ids).decode(errors="replace")


@pytest.mark.parametrize(
    ("prompt", "generated", "expected"),
    [
        (b"It was \xe6\x97", b"\xa5!", "日!"),
        (b"It was \xe6\x97", b"", ""),
        (b"It was \xe6\x97", b"x", "x"),
        (b"\xff\xff\xff\xff\xff", b"x\xff", "x\ufffd"),
        (b"\xe6", b"\x97\xa5", "日"),
        ("日".encode(), "日".encode(), "日"),
    ],
    ids=["completed", "nothing generated", "left broken", "all broken", "nothing but that", "whole"],
)
def test_window_shows_nothing_of_a_prompt_that_ends_within_a_character(
    prompt: bytes, generated: bytes, expected: str
) -> None:
    plan = compile_plan(Replacing(), mode="continuation")

    assert text_of(plan, generated, prompt=list(prompt)) == expected


def test_window_completes_the_character_of_a_prompt_for_a_tokenizer_that_hides_it() -> None:
    tokenizer = byt5()
    first, second, third = tokenizer.encode("日", add_special_tokens=False)
    prompt = tokenizer.encode("It was ", add_special_tokens=False)
    plan = compile_plan(tokenizer, mode="continuation")

    assert text_of(plan, [third], prompt=[*prompt, first, second]) == "日"
    assert text_of(plan, [], prompt=[*prompt, first, second]) == ""
    assert text_of(plan, [third], prompt=prompt) == ""
