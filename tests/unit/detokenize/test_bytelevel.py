from __future__ import annotations

import pytest
from tokenizers.pre_tokenizers import ByteLevel

from streamfan.detokenize import compile_plan
from streamfan.detokenize.bytelevel import token_bytes
from tests.support.token_ids import pieces, text_of
from tests.support.tokenizers import byte_level, fast, ids_of

SYMBOLS = sorted(ByteLevel.alphabet(), key=token_bytes)


def ids_of_bytes(data: bytes) -> list[int]:
    return ids_of(byte_level(), *(SYMBOLS[byte] for byte in data))


def test_alphabet_is_that_of_the_library() -> None:
    assert [token_bytes(symbol) for symbol in SYMBOLS] == [bytes((byte,)) for byte in range(256)]


def test_added_token_outside_the_alphabet_is_plain_text() -> None:
    tokenizer = byte_level()

    streamed = text_of(compile_plan(tokenizer), ids_of(tokenizer, "é日本", "<think>", "é日本"))

    assert streamed == "é日本<think>é日本"


def test_byte_order_mark_and_nul_are_text() -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens(["\ufeff"])

    streamed = text_of(compile_plan(tokenizer), [*ids_of(tokenizer, "\ufeff"), *ids_of_bytes(b"\x00")] * 2)

    assert streamed == "\ufeff\x00\ufeff\x00"


def test_added_token_inside_the_alphabet_is_mapped_like_any_other() -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens(["Ġé"])

    streamed = text_of(compile_plan(tokenizer), ids_of(tokenizer, "Ġé", "<think>"))

    assert streamed == tokenizer.decode(ids_of(tokenizer, "Ġé", "<think>")) == " \ufffd<think>"


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_character_cut_off_at_the_end_is_flushed(size: int) -> None:
    tokenizer = byte_level()
    token_ids = ids_of_bytes(b"a" + "😀".encode()[:size])

    streamed = pieces(compile_plan(tokenizer), token_ids)

    assert "".join(streamed) == tokenizer.decode(token_ids) == ("a😀" if size == 4 else "a\ufffd")
    assert streamed[-1] == ("" if size == 4 else "\ufffd")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80" * 40,
        b"\xc0\xaf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80x",
        b"\xf5\x80\x80\x80",
        b"\xe6\x97x",
        "日".encode() + b"\xff",
    ],
    ids=[
        "lone continuations",
        "overlong",
        "overlong in three",
        "surrogate",
        "too high",
        "broken off",
        "bad after good",
    ],
)
def test_invalid_bytes_are_replaced_as_decode_does(data: bytes) -> None:
    tokenizer = byte_level()
    token_ids = ids_of_bytes(data)

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids) == data.decode(errors="replace")


def test_invalid_byte_comes_out_as_soon_as_it_is_proven_so() -> None:
    detokenizer = compile_plan(byte_level()).start()

    streamed = [detokenizer.push(token_id) for token_id in ids_of_bytes(b"\xe6\x97x\x80")]

    assert streamed == ["", "", "\ufffdx", "\ufffd"]


def test_generated_replacement_character_is_not_held() -> None:
    detokenizer = compile_plan(byte_level()).start()

    streamed = [detokenizer.push(token_id) for token_id in ids_of_bytes("\ufffd".encode())]

    assert streamed == ["", "", "\ufffd"]


def test_special_tokens_are_skipped_wherever_they_are_and_added_ones_are_not() -> None:
    tokenizer = fast(byte_level())
    token_ids = ids_of(byte_level(), "<s>", "The", "</s>", "<pad>", "<think>", "<pad>")
    plan = compile_plan(tokenizer, skip_special_tokens=True)

    streamed = pieces(plan, token_ids)

    assert streamed == ["", "The", "", "", "<think>", "", ""]


def test_skipped_token_does_not_break_a_character() -> None:
    first, *rest = ids_of_bytes("日".encode())
    (pad,) = ids_of(byte_level(), "<pad>")
    plan = compile_plan(fast(byte_level()), skip_special_tokens=True)

    streamed = text_of(plan, [first, pad, 10**6, -1, *rest])

    assert streamed == "日"


@pytest.mark.parametrize("token_id", [-1, -100, 402, 10**6, 2**31, 2**32, 2**63 - 1, 2**80])
def test_id_without_a_token_has_no_text(token_id: int) -> None:
    detokenizer = compile_plan(byte_level()).start()

    streamed = [detokenizer.push(token_id), detokenizer.push(token_id), detokenizer.finish()]

    assert streamed == ["", "", ""]
