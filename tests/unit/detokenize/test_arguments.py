from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Regex, decoders
from transformers import PreTrainedTokenizerFast

from streamfan.detokenize import compile_plan
from streamfan.errors import UnsupportedDecode
from tests.support.token_ids import HARD_TEXTS, text_of
from tests.support.tokenizers import (
    FAMILIES,
    byt5,
    byte_fallback,
    byte_level,
    fast,
    ids_of,
    unigram,
    with_decoder,
    word_level,
    wordpiece,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

INSIST = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
SPACED = "It is , I ' m n't ' sure ' . do not ? 's ! we 've 're  ' s ..."


def named(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


class Trimmed(PreTrainedTokenizerFast):
    """A subclass that does something of its own after decoding."""

    def _decode(self, *args: Any, **kwargs: Any) -> str:
        return str(super()._decode(*args, **kwargs)).replace("o", "0")


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES.keys())
def test_clean_up_is_on_exactly_where_decode_has_it_on(
    build: Callable[[], Tokenizer], default: bool, asked: bool | None
) -> None:
    tokenizer = fast(build(), clean_up_tokenization_spaces=default)
    token_ids = tokenizer.encode(SPACED)

    streamed = text_of(compile_plan(tokenizer, clean_up_tokenization_spaces=asked), token_ids)

    assert streamed == tokenizer.decode(token_ids, clean_up_tokenization_spaces=asked)


@pytest.mark.parametrize("build", [byte_level, byte_fallback])
def test_clean_up_of_bpe_needs_to_be_insisted_on(build: Callable[[], Tokenizer]) -> None:
    tokenizer, insisting = fast(build()), fast(build(), **named(INSIST, True))
    token_ids = tokenizer.encode(SPACED)

    ignored = text_of(compile_plan(tokenizer, clean_up_tokenization_spaces=True), token_ids)
    cleaned = text_of(compile_plan(insisting, clean_up_tokenization_spaces=True), token_ids)

    assert ignored == tokenizer.decode(token_ids, clean_up_tokenization_spaces=True)
    assert cleaned == insisting.decode(token_ids, clean_up_tokenization_spaces=True)
    assert cleaned != ignored


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS.keys())
def test_clean_up_of_a_slow_tokenizer_is_that_of_its_decode(text: str) -> None:
    tokenizer = byt5()
    token_ids = tokenizer.encode(text, add_special_tokens=False)

    streamed = text_of(compile_plan(tokenizer, clean_up_tokenization_spaces=True), token_ids)

    assert streamed == tokenizer.decode(token_ids, clean_up_tokenization_spaces=True)


def test_clean_up_is_done_once() -> None:
    unknown = decoders.Replace(Regex("zzz"), "")
    tokenizer = fast(word_level("<unk>", "x  .", "y", decoder=unknown), clean_up_tokenization_spaces=True)

    streamed = text_of(compile_plan(tokenizer), [1, 2, 1])

    assert streamed == tokenizer.decode([1, 2, 1]) == "x .yx ."


def test_clean_up_is_refused_where_decode_may_do_more_afterwards() -> None:
    tokenizer = fast(unigram(), Trimmed)

    with pytest.raises(UnsupportedDecode, match=r"clean_up_tokenization_spaces=True .* Trimmed") as caught:
        compile_plan(tokenizer, clean_up_tokenization_spaces=True)

    assert "Try: " in str(caught.value)


def test_clean_up_that_is_only_a_default_is_refused_there_too() -> None:
    tokenizer = fast(unigram(), Trimmed, clean_up_tokenization_spaces=True)

    with pytest.raises(UnsupportedDecode, match="Trimmed"):
        compile_plan(tokenizer)

    tokenizer.clean_up_tokenization_spaces = False
    assert text_of(compile_plan(tokenizer), tokenizer.encode("The fox")) == "The f0x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncate_before_pattern", "removes text"),
        ("normalize", "rewrites text"),
        ("output_char_offsets", "not a text"),
        ("group_tokens", "neighbouring ids"),
        ("skip_special_token", "not known"),
    ],
)
@pytest.mark.parametrize("build", [byte_level, unigram])
def test_argument_that_cannot_be_honoured_is_refused_by_name(
    build: Callable[[], Tokenizer], name: str, reason: str
) -> None:
    with pytest.raises(UnsupportedDecode, match=f"{name!r} cannot be honoured token by token: .*{reason}") as caught:
        compile_plan(fast(build()), **named(name, False))

    assert "\nTry: " in str(caught.value)


@pytest.mark.parametrize("name", ["spaces_between_special_tokens", "use_source_tokenizer"])
@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("build", [lambda: fast(unigram()), byt5], ids=["fast", "slow"])
def test_argument_that_acts_id_by_id_does_what_it_does_in_decode(
    build: Callable[[], Any], value: bool, name: str
) -> None:
    tokenizer = build()
    token_ids = [1, *tokenizer.encode("The fox"), 0, 1]

    streamed = text_of(compile_plan(tokenizer, **named(name, value)), token_ids)

    assert streamed == tokenizer.decode(token_ids, **{name: value})


def test_argument_that_the_tokenizer_refuses_is_refused_at_once() -> None:
    with pytest.raises(
        UnsupportedDecode, match=r"Tokenizer\.decode\(\[\], .*clean_up_tokenization_spaces=True\) raised"
    ):
        compile_plan(unigram(), clean_up_tokenization_spaces=True)


def test_exact_is_refused_for_a_decoder_that_is_not_understood() -> None:
    with pytest.raises(UnsupportedDecode, match="exact=True cannot be kept for ByT5Tokenizer"):
        compile_plan(byt5(), exact=True)


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(UnsupportedDecode, match="mode 'prefix' is unknown\nTry: one of 'standalone', 'continuation'"):
        compile_plan(unigram(), mode="prefix")  # type: ignore[arg-type]


def test_tokenizer_that_does_not_decode_to_text_is_refused() -> None:
    tokenizer = SimpleNamespace(decode=lambda ids, skip_special_tokens: ["a"])

    with pytest.raises(UnsupportedDecode, match="no text"):
        compile_plan(tokenizer)


@pytest.mark.parametrize("thing", [None, "gpt2", 3, SimpleNamespace(tokenizer=None)])
def test_what_cannot_decode_is_no_tokenizer(thing: object) -> None:
    with pytest.raises(TypeError, match=r"cannot decode with .*\nTry: pass a tokenizer"):
        compile_plan(thing)


def test_processor_is_taken_for_its_tokenizer() -> None:
    tokenizer = fast(byte_level())
    token_ids = ids_of(byte_level(), "<s>", "The", "Ġfox")

    streamed = text_of(compile_plan(SimpleNamespace(tokenizer=tokenizer), skip_special_tokens=True), token_ids)

    assert streamed == "The fox"


@pytest.mark.parametrize("skip_special_tokens", [True, False])
def test_bare_tokenizer_is_taken_with_special_tokens_kept_unless_asked(skip_special_tokens: bool) -> None:
    tokenizer = wordpiece()
    token_ids = ids_of(tokenizer, "<s>", "The", "<think>")

    streamed = text_of(compile_plan(tokenizer, skip_special_tokens=skip_special_tokens), token_ids)

    assert streamed == tokenizer.decode(token_ids, skip_special_tokens=skip_special_tokens)


def test_tokenizer_changed_after_compiling_needs_a_new_plan() -> None:
    tokenizer = wordpiece()
    old = compile_plan(tokenizer)
    changed = with_decoder(tokenizer, None)

    assert text_of(old, ids_of(tokenizer, "The", ".")) == "The."
    assert text_of(compile_plan(changed), ids_of(tokenizer, "The", ".")) == "The ."
