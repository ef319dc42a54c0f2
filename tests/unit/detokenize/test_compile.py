from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Regex, decoders
from transformers import PreTrainedTokenizerFast, WhisperTokenizer

from streamfan.detokenize import compile_plan
from streamfan.detokenize.bytefallback import ByteFallbackPlan
from streamfan.detokenize.bytelevel import ByteLevelPlan
from streamfan.detokenize.decoder import read_decoder
from streamfan.detokenize.pieces import PiecePlan
from streamfan.detokenize.window import WindowPlan
from tests.support.token_ids import BYTE_FALLBACK_DECODERS, PIECE_DECODERS, text_of
from tests.support.tokenizers import byt5, byte_fallback, byte_level, canine, fast, with_decoder, word_level

if TYPE_CHECKING:
    from collections.abc import Callable


class OwnDecode(PreTrainedTokenizerFast):
    def decode(self, *args: Any, **kwargs: Any) -> Any:
        return super().decode(*args, **kwargs)


class OwnDecoder:
    def decode_chain(self, tokens: list[str]) -> list[str]:
        return tokens


def plan_of(decoder: Any) -> type:
    return type(compile_plan(fast(with_decoder(byte_fallback(), decoder))))


def test_byte_level_decoder_is_followed() -> None:
    assert type(compile_plan(fast(byte_level()))) is ByteLevelPlan
    assert plan_of(decoders.Sequence([decoders.ByteLevel()])) is ByteLevelPlan


@pytest.mark.parametrize("variant", BYTE_FALLBACK_DECODERS.values(), ids=BYTE_FALLBACK_DECODERS.keys())
def test_byte_fallback_decoders_are_followed(variant: Any) -> None:
    assert plan_of(variant.decoder) is ByteFallbackPlan


@pytest.mark.parametrize("decoder", PIECE_DECODERS.values(), ids=PIECE_DECODERS.keys())
def test_decoders_of_pieces_are_followed(decoder: Any) -> None:
    assert plan_of(decoder) is PiecePlan


def test_metaspace_before_the_bytes_is_followed() -> None:
    steps = [decoders.Metaspace(prepend_scheme="always"), decoders.ByteFallback(), decoders.Fuse()]

    assert plan_of(decoders.Sequence(steps)) is ByteFallbackPlan


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.BPEDecoder(),
        decoders.CTC(),
        decoders.Replace(Regex("a+"), "b"),
        decoders.Strip(" ", 0, 1),
        decoders.Sequence([decoders.ByteFallback(), decoders.Replace("ab", "c")]),
        decoders.Sequence([decoders.ByteFallback(), decoders.WordPiece()]),
        decoders.Sequence([decoders.ByteFallback(), decoders.ByteFallback()]),
        decoders.Sequence([decoders.Fuse(), decoders.ByteFallback()]),
        decoders.Sequence([decoders.Fuse(), decoders.Replace(" ", "")]),
        decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
        decoders.Sequence([decoders.Replace("a", "b"), decoders.ByteLevel()]),
    ],
    ids=str,
)
def test_decoder_that_is_not_understood_is_asked_instead(decoder: Any) -> None:
    assert plan_of(decoder) is WindowPlan


def test_decoder_written_in_python_is_asked_instead() -> None:
    tokenizer = word_level("a", "b", decoder=decoders.Decoder.custom(OwnDecoder()))

    assert type(compile_plan(tokenizer)) is WindowPlan
    assert text_of(compile_plan(tokenizer), [0, 1]) == "ab"


@pytest.mark.parametrize("addition", [{}, {"lower": True}], ids=["as known", "newer"])
def test_step_with_an_unknown_field_is_not_guessed_at(addition: dict[str, Any]) -> None:
    class Serialized:
        def __getstate__(self) -> bytes:
            return json.dumps({"type": "WordPiece", "prefix": "##", "cleanup": True} | addition).encode()

    assert (read_decoder(Serialized()) is None) is (addition != {})


@pytest.mark.parametrize("build", [byt5, canine])
def test_slow_tokenizers_are_asked(build: Callable[[], Any]) -> None:
    assert type(compile_plan(build())) is WindowPlan


def test_tokenizer_with_a_decode_of_its_own_is_asked() -> None:
    tokenizer = fast(byte_level(), OwnDecode)
    vocabulary = {"<|endoftext|>": 0, "a": 1}

    assert type(compile_plan(tokenizer)) is WindowPlan
    assert type(compile_plan(WhisperTokenizer(vocab=vocabulary, merges=[]))) is WindowPlan


def test_tokenizer_whose_decode_was_replaced_is_asked() -> None:
    tokenizer: Any = fast(byte_level())
    tokenizer.decode = lambda *args, **kwargs: ""

    assert type(compile_plan(tokenizer)) is WindowPlan
