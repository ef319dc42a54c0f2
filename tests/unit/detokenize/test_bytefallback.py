from __future__ import annotations

import pytest
from tokenizers import decoders

from streamfan.detokenize import compile_plan
from streamfan.detokenize.bytefallback import RUN_CAP
from tests.support.token_ids import BYTE_FALLBACK_DECODERS, pieces, text_of
from tests.support.tokenizers import byte_fallback, fast, ids_of, unigram, with_decoder, word_level


def ids_of_bytes(data: bytes) -> list[int]:
    return ids_of(byte_fallback(), *(f"<0x{byte:02X}>" for byte in data))


CUT_RUN = "日本".encode() + "語".encode()[:2]


def test_a_broken_byte_does_not_destroy_the_characters_before_it() -> None:
    tokenizer = byte_fallback()
    token_ids = [*ids_of(tokenizer, "▁the", "▁"), *ids_of_bytes(CUT_RUN)]

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert tokenizer.decode(token_ids) == "the " + 8 * "\ufffd"
    assert streamed == "the 日本\ufffd"


def test_exact_waits_for_the_end_of_a_run_and_says_what_decode_says() -> None:
    tokenizer = byte_fallback()
    token_ids = [*ids_of_bytes(CUT_RUN), *ids_of(tokenizer, "s"), *ids_of_bytes("日本".encode())]

    streamed = pieces(compile_plan(tokenizer, exact=True), token_ids)

    assert streamed == 8 * [""] + [8 * "\ufffd" + "s"] + 6 * [""] + ["日本"]
    assert "".join(streamed) == tokenizer.decode(token_ids)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_character_cut_off_at_the_end_is_flushed(size: int) -> None:
    tokenizer = byte_fallback()
    token_ids = ids_of(tokenizer, "The") + ids_of_bytes("😀".encode()[:size])

    streamed = pieces(compile_plan(tokenizer), token_ids)

    assert "".join(streamed) == ("The😀" if size == 4 else "The\ufffd")
    assert streamed[-1] == ("" if size == 4 else "\ufffd")


def test_run_of_bytes_goes_on_over_skipped_and_unknown_ids() -> None:
    tokenizer = fast(byte_fallback())
    first, *rest = ids_of_bytes("日".encode())

    streamed = text_of(compile_plan(tokenizer, skip_special_tokens=True), [first, 0, 10**6, -1, *rest])

    assert streamed == "日"


def test_text_ends_a_run_even_if_it_is_empty() -> None:
    tokenizer = word_level("x", "<0xE6>", "<0x97>", "<0xA5>", "", decoder=decoders.ByteFallback())

    streamed = pieces(compile_plan(tokenizer), [1, 2, 4, 3, 1, 2, 3])

    assert streamed == ["", "", "\ufffd", "\ufffd", "", "", "日", ""]


@pytest.mark.parametrize("token", ["<0xg1>", "<0x1>", "<0x041>", "<0xé>", "<0X41>", "<0x４1>", "<0x+g>", " <0x41>"])
def test_what_only_resembles_a_byte_is_text(token: str) -> None:
    tokenizer = word_level("x", token, decoder=decoders.ByteFallback())

    streamed = text_of(compile_plan(tokenizer), [1])

    assert streamed == tokenizer.decode([1]) == token


@pytest.mark.parametrize("token", ["<0x4a>", "<0x4A>", "<0x+9>"])
def test_whatever_the_decoder_takes_for_a_byte_is_one(token: str) -> None:
    tokenizer = word_level("x", token, decoder=decoders.ByteFallback())

    streamed = text_of(compile_plan(tokenizer), [1])

    assert streamed == tokenizer.decode([1]) == chr(int(token[3:5], 16))


def test_leading_space_is_stripped_once_even_if_it_is_spelled_in_bytes() -> None:
    tokenizer = byte_fallback()
    token_ids = [*ids_of_bytes(b"  "), *ids_of(tokenizer, "▁the")]

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids) == "  the"


def test_strip_budget_lasts_over_several_pieces_and_ends_at_the_first_other_character() -> None:
    tokenizer = with_decoder(byte_fallback(), BYTE_FALLBACK_DECODERS["strip two"].decoder)
    plan = compile_plan(tokenizer)

    assert text_of(plan, ids_of(tokenizer, "▁", "▁", "▁", "s")) == " s"
    assert text_of(plan, ids_of(tokenizer, "▁", "s", "▁", "s")) == "s s"


def test_strip_takes_the_space_of_a_special_token_that_is_kept() -> None:
    tokenizer = byte_fallback()
    tokenizer.add_special_tokens([" <mark>"])
    token_ids = ids_of(tokenizer, " <mark>", "▁the")

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids, skip_special_tokens=False) == "<mark> the"


def test_marker_spelled_in_bytes_follows_the_order_of_the_steps() -> None:
    marker = ids_of_bytes("s▁s".encode())
    metaspace_last = with_decoder(byte_fallback(), BYTE_FALLBACK_DECODERS["Metaspace never"].decoder)

    assert text_of(compile_plan(byte_fallback()), marker) == "s▁s"
    assert text_of(compile_plan(metaspace_last), marker) == "s s"


def test_first_run_of_bytes_is_the_first_piece_as_a_whole() -> None:
    tokenizer = unigram()
    run = ids_of(tokenizer, *(f"<0x{byte:02X}>" for byte in "▁日▁".encode()))
    token_ids = [*run, *ids_of(tokenizer, "▁", "e"), *run]

    streamed = text_of(compile_plan(tokenizer), token_ids)

    assert streamed == tokenizer.decode(token_ids) == "日 e 日 "


def test_run_longer_than_exact_may_hold_loses_nothing() -> None:
    tokenizer = byte_fallback()
    text = "日" * (RUN_CAP // 3 + 50)
    token_ids = [*ids_of_bytes(text.encode()), *ids_of_bytes(b"\xff"), *ids_of(tokenizer, "s")]

    streamed = pieces(compile_plan(tokenizer, exact=True), token_ids)

    assert next(n for n, piece in enumerate(streamed) if piece != "") == RUN_CAP
    assert "".join(streamed) == text + "\ufffds"
