"""Work is counted, not timed: a busy machine changes nothing here."""

from __future__ import annotations

from codecs import utf_8_decode
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import decoders
from transformers import ByT5Tokenizer

from streamfan.detokenize import Plan, compile_plan, utf8
from streamfan.detokenize.bytefallback import RUN_CAP
from streamfan.detokenize.window import CAP
from tests.support.tokenizers import byt5, byte_fallback, byte_level, fast, ids_of, with_decoder, wordpiece

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer


class Counted:
    """A tokenizer that counts the ids it is asked to decode."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.largest = 0
        self.total = 0

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        self.largest = max(self.largest, len(ids))
        self.total += len(ids)
        return str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


class CountingByT5(ByT5Tokenizer):
    calls = 0

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        self.calls += 1
        return str(super().convert_tokens_to_string(tokens))  # type: ignore[no-untyped-call]


@pytest.fixture
def decoded_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call of the incremental decoder was given."""
    sizes: list[int] = []

    def counting(data: bytes, errors: str, final: bool) -> tuple[str, int]:
        sizes.append(len(data))
        return utf_8_decode(data, errors, final)

    monkeypatch.setattr(utf8, "utf_8_decode", counting)
    return sizes


def continuation_of(build: Callable[[], Tokenizer]) -> int:
    symbol = {byte_level: "Ģ", byte_fallback: "<0x80>"}[build]
    return ids_of(build(), symbol)[0]


@pytest.mark.parametrize("build", [byte_level, byte_fallback])
def test_lone_continuation_bytes_come_out_one_by_one(build: Callable[[], Tokenizer], decoded_bytes: list[int]) -> None:
    token_id = continuation_of(build)
    detokenizer = compile_plan(build()).start()

    streamed = [detokenizer.push(token_id) for _ in range(4000)]

    assert streamed == ["\ufffd"] * 4000
    assert max(decoded_bytes) <= 1 + utf8.MAX_HELD
    assert len(decoded_bytes) <= 4000 + 1


def test_exact_holds_no_more_than_its_cap(decoded_bytes: list[int]) -> None:
    token_id = continuation_of(byte_fallback)
    detokenizer = compile_plan(byte_fallback(), exact=True).start()

    streamed = [detokenizer.push(token_id) for _ in range(4000)]

    assert streamed == [""] * RUN_CAP + ["\ufffd" * (RUN_CAP + 1)] + ["\ufffd"] * (4000 - RUN_CAP - 1)
    assert sum(decoded_bytes) <= 4000 * (1 + utf8.MAX_HELD)


@pytest.mark.parametrize("build", [byte_level, byte_fallback, wordpiece])
def test_skipped_pads_cost_a_look_each_and_leave_the_first_piece_first(build: Callable[[], Tokenizer]) -> None:
    tokenizer = fast(build())
    token_ids = tokenizer.encode("The fox", add_special_tokens=False)
    detokenizer = compile_plan(tokenizer, skip_special_tokens=True).start()

    silent = [detokenizer.push(0) for _ in range(8000)]

    assert silent == [""] * 8000
    assert "".join(map(detokenizer.push, token_ids)) == tokenizer.decode(token_ids)


@pytest.mark.parametrize("build", [byte_level, byte_fallback, wordpiece])
def test_a_plan_remembers_no_id_that_does_not_exist(build: Callable[[], Tokenizer]) -> None:
    plan = compile_plan(build())
    detokenizer = plan.start()

    streamed = [detokenizer.push(token_id) for token_id in range(10**6, 10**6 + 5000)]

    assert "".join(streamed) == ""
    assert remembered(plan) == 0


def remembered(plan: Plan) -> int:
    slots = [slot for cls in type(plan).__mro__ for slot in getattr(cls, "__slots__", ())]
    return sum(len(value) for slot in slots if isinstance(value := getattr(plan, slot), dict))


@pytest.mark.parametrize(
    ("tokenizer", "token_id"),
    [(byt5(), 0x80 + 3), (byt5(), 0), (with_decoder(wordpiece(), decoders.CTC()), 5)],
    ids=["lone continuations", "pads", "repeated"],
)
def test_window_decodes_a_few_ids_for_each_push(tokenizer: Any, token_id: int) -> None:
    counted = Counted(tokenizer)
    detokenizer = compile_plan(counted, skip_special_tokens=True).start()

    streamed = [detokenizer.push(token_id) for _ in range(4000)]

    assert len("".join(streamed)) <= 10
    assert counted.largest <= 2 * CAP
    assert counted.total <= 4000 * 3 * 2 * CAP


def test_window_does_not_decode_what_is_skipped() -> None:
    tokenizer = CountingByT5()
    detokenizer = compile_plan(tokenizer, skip_special_tokens=True).start()
    tokenizer.calls = 0

    streamed = [detokenizer.push(0) for _ in range(8000)]

    assert "".join(streamed) == ""
    assert tokenizer.calls == 0


def test_one_long_word_holds_nothing_back(decoded_bytes: list[int]) -> None:
    tokenizer = byte_level()
    token_ids = tokenizer.encode("https://example.org/" + "aB3-_" * 800).ids
    detokenizer = compile_plan(tokenizer).start()

    streamed = [detokenizer.push(token_id) for token_id in token_ids]

    assert "" not in streamed
    assert sum(decoded_bytes) <= len(set(token_ids))
