from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Regex, decoders

from streamfan.detokenize import compile_plan
from tests.support.token_ids import STRANGE_IDS, pieces, text_of
from tests.support.tokenizers import byt5, byte_level, canine, fast, ids_of, with_decoder, word_level, wordpiece

if TYPE_CHECKING:
    from collections.abc import Callable


class ByteWise:
    """A tokenizer of somebody's own, with U+FFFD for parts of characters."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return bytes(ids).decode(errors="replace")


class Spanish:
    """A tokenizer that rewrites what it said once an exclamation mark comes."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        text = "".join(map(chr, ids))
        return "¡" + text if "!" in text else text


def test_characters_come_out_whole_and_only_once() -> None:
    streamed = pieces(compile_plan(ByteWise()), "é日😀x".encode())

    assert streamed == ["", "é", "", "", "日", "", "", "", "😀", "x", ""]


def test_generated_replacement_characters_come_out_once_each() -> None:
    data = b"\xff x \xff\xff y \xff"

    streamed = text_of(compile_plan(ByteWise()), data)

    assert streamed == data.decode(errors="replace")


def test_replacement_character_and_what_it_becomes_may_be_equally_long() -> None:
    streamed = text_of(compile_plan(ByteWise()), "中中".encode())

    assert streamed == "中中"


def test_text_cut_off_is_flushed_at_the_end() -> None:
    streamed = pieces(compile_plan(ByteWise()), "a😀".encode()[:-1])

    assert streamed == ["a", "", "", "", "\ufffd"]


def test_nothing_is_retracted_where_decode_rewrites_its_text() -> None:
    streamed = text_of(compile_plan(Spanish()), map(ord, "no!"))

    assert streamed == "no¡!"


def test_id_that_decode_raises_for_has_no_text_and_harms_no_other() -> None:
    streamed = pieces(compile_plan(ByteWise()), [0xE6, 300, 0x97, -1, 0xA5, 2**70, 0x61])

    assert streamed == ["", "", "", "", "日", "", "a", ""]


@pytest.mark.parametrize("build", [byt5, canine])
@pytest.mark.parametrize("token_id", STRANGE_IDS)
def test_slow_tokenizers_give_no_text_for_strange_ids(build: Callable[[], Any], token_id: int) -> None:
    tokenizer = build()
    token_ids = tokenizer.encode("ab", add_special_tokens=False)

    streamed = text_of(compile_plan(tokenizer), [token_ids[0], token_id, token_ids[1]])

    assert streamed == "ab"


def test_panic_in_the_library_means_no_text() -> None:
    tokenizer = word_level("a  ", " ", "b", decoder=decoders.Strip(" ", 0, 2))

    streamed = text_of(compile_plan(tokenizer), [0, 1, 2])

    assert streamed == "ab"


def test_interrupt_during_decode_is_not_swallowed() -> None:
    class Interrupted(ByteWise):
        def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
            if 3 in ids:
                raise KeyboardInterrupt
            return super().decode(ids)

    detokenizer = compile_plan(Interrupted()).start()

    with pytest.raises(KeyboardInterrupt):
        detokenizer.push(3)


def test_special_tokens_are_skipped_without_becoming_the_context() -> None:
    unknown = decoders.Sequence([decoders.WordPiece(), decoders.Replace(Regex("zzz"), "")])
    tokenizer = fast(with_decoder(wordpiece(), unknown))
    the, fox = ids_of(wordpiece(), "The", "fox")
    token_ids = [the, *[0] * 100, *[10**6] * 100, fox]

    streamed = text_of(compile_plan(tokenizer, skip_special_tokens=True), token_ids)

    assert streamed == tokenizer.decode(token_ids, skip_special_tokens=True) == "The fox"


def test_slow_tokenizer_skips_what_its_decode_skips() -> None:
    tokenizer = byt5()
    token_ids = tokenizer.encode("ab")

    assert text_of(compile_plan(tokenizer, skip_special_tokens=True), [0, *token_ids, 0]) == "ab"
    assert text_of(compile_plan(tokenizer), [0, *token_ids]) == "<pad>ab</s>"


def test_byte_level_behind_a_function_of_the_tokenizer_goes_through_it() -> None:
    tokenizer: Any = fast(byte_level())
    backend_decode = tokenizer.backend_tokenizer.decode
    tokenizer.backend_tokenizer.decode = lambda *args, **kwargs: backend_decode(*args, **kwargs).replace("fox", "owl")

    streamed = text_of(compile_plan(tokenizer), ids_of(byte_level(), "The", "Ġfox", "."))

    assert streamed == "The owl."
