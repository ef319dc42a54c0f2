"""The streamer against `generate()` as its source tells it, in plain Python: what is put here is a list."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from dataclasses import dataclass
from itertools import zip_longest
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import StreamerMisuse, UnsupportedDecode, UsageError
from streamfan.stream import Stream
from streamfan.streamer import Streamer
from tests.support.opener import MemoryFan, ids_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAD, EOS, EOT = 0, 1, 2
MODEL = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[EOS, EOT], pad_token_id=PAD))


class Letters:
    """A tokenizer whose ids are code points, but for three special ones that have no text."""

    eos_token_id: int | None = EOS
    pad_token_id: int | None = PAD

    def decode(self, ids: Sequence[int], **kwargs: Any) -> str:
        return "".join(chr(id) for id in ids if id > EOT)


@dataclass
class Ids:
    """What `generate()` puts."""

    values: list[Any]

    def tolist(self) -> list[Any]:
        return self.values


class Flags(list[bool]):
    """What a tensor makes of a list."""

    def __ne__(self, other: object) -> Any:
        return [flag != other for flag in self]


class InputIds:
    """What a stopping criterion is given."""

    def __init__(self, rows: int, length: int) -> None:
        self.shape = (rows, length)

    def new_tensor(self, values: list[bool]) -> Flags:
        return Flags(values)


@pytest.fixture
def fan() -> MemoryFan:
    return MemoryFan()


def encode(text: str) -> list[int]:
    """The ids of a text, in which `.` is the end of sequence, `!` the end of a turn, and `_` is padding."""
    special = {"_": PAD, ".": EOS, "!": EOT}
    return [special.get(character, ord(character)) for character in text]


def prompt(*texts: str) -> Ids:
    return Ids([encode(text) for text in texts])


def step(text: str) -> Ids:
    """One id for each row, or several for one row."""
    return Ids(encode(text))


def block(*texts: str) -> Ids:
    """Several ids for each row."""
    return prompt(*texts)


def generate(streamer: Streamer, *rows: str, prompts: Sequence[str] = ()) -> None:
    """What `generate()` does: the prompt, then a column after the other, short rows padded, and the end."""
    streamer.put(prompt(*(prompts or ["p"] * len(rows))))
    for column in zip_longest(*rows, fillvalue="_"):
        streamer.put(step("".join(column)))
    streamer.end()


def texts(streamer: Streamer) -> list[str]:
    return [stream.text for stream in streamer.streams]


def reasons(streamer: Streamer) -> list[str | None]:
    return [stream.finish_reason for stream in streamer.streams]


# One row


def test_text_follows_the_ids_as_they_are_put(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    seen = []

    for value in (prompt("prompt"), step("H"), step("é"), step("y")):
        streamer.put(value)
        seen.append(streamer.streams[0].text)

    assert seen == ["", "H", "Hé", "Héy"]


def test_prompt_is_published_unless_it_is_skipped(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    generate(streamer, "xy", prompts=["prompt "])

    assert texts(streamer) == ["prompt xy"]
    assert ids_of(streamer.streams[0]) == encode("prompt xy")


def test_skipped_prompt_leaves_no_ids(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)

    generate(streamer, "xy.", prompts=["prompt "])

    assert ids_of(streamer.streams[0]) == encode("xy.")


@pytest.mark.parametrize("skip_prompt", [True, False])
def test_prompt_of_embeddings_has_no_ids(fan: MemoryFan, skip_prompt: bool) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=skip_prompt)

    generate(streamer, "xy", prompts=[""])

    assert texts(streamer) == ["xy"]


def test_start_token_of_a_decoder_is_not_text_of_the_prompt(fan: MemoryFan) -> None:
    model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=True), generation_config=MODEL.generation_config)
    streamer = fan.streamer(Letters(), model=model)

    generate(streamer, "xy", prompts=["<forced"])

    assert texts(streamer) == ["forcedxy"]


def test_several_ids_at_once_are_one_write(fan: MemoryFan, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    write = Stream.write

    def counted(self: Stream, text: str, token_ids: Sequence[int] = ()) -> None:
        writes.append(text)
        write(self, text, token_ids)

    monkeypatch.setattr(Stream, "write", counted)
    streamer = fan.streamer(Letters(), skip_prompt=True)

    for value in (prompt("p"), block("abc"), block("d"), block("ef")):
        streamer.put(value)
    streamer.end()

    assert writes == ["abc", "d", "ef"]


@pytest.mark.parametrize(
    ("generated", "reason"), [("ab.", "stop"), ("ab!", "stop"), ("ab", "length"), ("a.b", "length"), ("", "length")]
)
def test_finish_reason_of_a_single_row_is_told_by_its_last_id(fan: MemoryFan, generated: str, reason: str) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, generated)

    assert reasons(streamer) == [reason]


def test_single_row_loses_nothing_where_generate_knows_another_end_of_sequence(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "a.b_c")

    assert texts(streamer) == ["abc"]
    assert ids_of(streamer.streams[0]) == encode("a.b_c")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "stop"),
        ({"model": MODEL}, "stop"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=EOT))}, "length"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=Ids([EOT, EOS])))}, "stop"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None))}, "length"),
        ({"model": MODEL, "eos_token_id": EOT}, "length"),
        ({"eos_token_id": (EOT, EOS)}, "stop"),
    ],
)
def test_end_of_sequence_is_the_argument_else_the_models_else_the_tokenizers(
    fan: MemoryFan, arguments: dict[str, Any], reason: str
) -> None:
    streamer = fan.streamer(Letters(), **arguments)

    generate(streamer, "ab.")

    assert reasons(streamer) == [reason]


def test_decode_arguments_are_those_of_the_tokenizer(fan: MemoryFan) -> None:
    with pytest.raises(UnsupportedDecode, match="nonsense"):
        fan.streamer(Letters(), exact=True, mode="nonsense")


def test_folder_of_the_model_is_told_to_nobody(fan: MemoryFan, tmp_path: Path) -> None:
    names = (str(tmp_path), "somebody/some-model", "", None)

    for name in names:
        streamer = fan.streamer(Letters(), model=SimpleNamespace(name_or_path=name, generation_config=None))
        streamer.put(prompt("p"))
        streamer.end()

    assert [stream.info.model for stream in fan.opened] == [tmp_path.name, "somebody/some-model", None, None]


# Several rows


def test_each_row_of_a_batch_is_a_stream(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "one.", "three!", "no end")

    assert texts(streamer) == ["one", "three", "no end"]
    assert [stream.info.row for stream in streamer.streams] == [0, 1, 2]


def test_row_ends_at_its_own_end_of_sequence_while_others_go_on(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)
    streamer.put(prompt("p", "p"))

    for value in (step("ax"), step(".y"), step("_z")):
        streamer.put(value)

    assert reasons(streamer) == ["stop", None]
    assert ids_of(streamer.streams[0]) == encode("a.")


def test_first_end_of_sequence_is_real_where_padding_looks_the_same(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), eos_token_id=EOS, pad_token_id=EOS, skip_prompt=True)

    generate(streamer, "a....", "xyz.", "12345")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("a."), encode("xyz."), encode("12345")]
    assert reasons(streamer) == ["stop", "stop", "length"]


def test_row_that_a_criterion_of_the_caller_has_ended_is_padded_too(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "ab", "vwxyz")

    assert ids_of(streamer.streams[0]) == encode("ab")
    assert reasons(streamer) == ["stop", "length"]


def test_padding_that_was_generated_is_kept(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "a__b_.", "vwxyz_")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("a__b_."), encode("vwxyz")]


def test_blocks_of_ids_go_to_their_rows(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    for value in (prompt("p", "p"), block("ab", "xy"), block("._", "z_"), block("__", "!_")):
        streamer.put(value)
    streamer.end()

    assert [ids_of(stream) for stream in streamer.streams] == [encode("ab."), encode("xyz_!")]


def test_padding_on_the_left_of_a_prompt_is_not_published(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL)

    generate(streamer, "x.", "y.", prompts=["__short ", "longer "])

    assert texts(streamer) == ["short x", "longer y"]
    assert ids_of(streamer.streams[0]) == encode("short x.")


@given(
    rows=st.lists(st.text("ab_", max_size=6).map(lambda text: text.rstrip("_") + "."), min_size=2, max_size=4),
    pad_is_eos=st.booleans(),
    in_blocks=st.booleans(),
)
def test_rows_hold_all_their_ids_and_no_padding(rows: list[str], pad_is_eos: bool, in_blocks: bool) -> None:
    streamer = MemoryFan().streamer(Letters(), eos_token_id=EOS, pad_token_id=EOS if pad_is_eos else PAD)
    width = max(map(len, rows))
    padded = [row.ljust(width, "." if pad_is_eos else "_") for row in rows]

    if in_blocks:
        for value in (prompt(*[""] * len(rows)), block(*padded)):
            streamer.put(value)
        streamer.end()
    else:
        generate(streamer, *padded, prompts=[""] * len(rows))

    assert [ids_of(stream) for stream in streamer.streams] == [encode(row) for row in rows]
    assert reasons(streamer) == ["stop"] * len(rows)


def test_several_rows_are_refused_where_nothing_says_what_ends_one(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    with pytest.raises(UsageError, match="model=model"):
        streamer.put(prompt("p", "p"))

    assert fan.opened == []


def test_rows_of_a_model_without_end_of_sequence_have_their_full_length(fan: MemoryFan) -> None:
    config = SimpleNamespace(eos_token_id=None, pad_token_id=None)
    streamer = fan.streamer(Letters(), model=SimpleNamespace(generation_config=config), skip_prompt=True)

    generate(streamer, "ab.", "xyz")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("ab."), encode("xyz")]
    assert reasons(streamer) == ["length", "length"]


def test_open_rows_fail_where_another_cannot_be_opened(fan: MemoryFan, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = fan.open
    monkeypatch.setattr(fan, "open", lambda *, model, row: opened(model=model, row=row) if row < 2 else 1 / 0)
    streamer = fan.streamer(Letters(), model=MODEL)

    with pytest.raises(ZeroDivisionError):
        streamer.put(prompt("p", "p", "p"))

    assert [stream.finish_reason for stream in fan.opened] == ["error", "error"]


# Stop strings


@pytest.mark.parametrize(
    ("generated", "text", "reason"),
    [
        ("before STOP after", "before ", "stop"),
        ("before STOP", "before ", "stop"),
        ("before STO", "before STO", "length"),
        ("STOSTSTOP", "STOST", "stop"),
        ("café ende", "café ", "stop"),
    ],
)
def test_nothing_from_a_stop_string_on_is_published(fan: MemoryFan, generated: str, text: str, reason: str) -> None:
    streamer = fan.streamer(Letters(), stop=["STOP", "ende"], skip_prompt=True)

    generate(streamer, generated)

    assert texts(streamer) == [text]
    assert reasons(streamer) == [reason]


def test_ids_after_the_one_that_completes_a_stop_string_are_dropped(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), stop="STOP", skip_prompt=True)

    for value in (prompt("p"), block("a ST"), block("OP b")):
        streamer.put(value)

    assert reasons(streamer) == ["stop"]
    assert ids_of(streamer.streams[0]) == encode("a STOP")


def test_text_that_may_become_a_stop_string_is_held_and_no_more(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), stop="STOP", skip_prompt=True)
    seen = []

    for value in (prompt("p"), step("a"), step("S"), step("T"), step("x")):
        streamer.put(value)
        seen.append(streamer.streams[0].text)

    assert seen == ["", "a", "a", "a", "aSTx"]


def test_stop_string_in_the_prompt_stops_nothing(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), stop="STOP")

    generate(streamer, "P after", prompts=["STOP and STO"])

    assert texts(streamer) == ["STOP and STOP after"]


def test_stop_string_ends_its_row_only(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, stop="b", skip_prompt=True)

    generate(streamer, "abcd.", "wxyz.")

    assert texts(streamer) == ["a", "wxyz"]
    assert reasons(streamer) == ["stop", "stop"]


def test_empty_stop_string_is_refused_before_anything_is_generated(fan: MemoryFan) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        fan.streamer(Letters(), stop=["x", ""])


# Stopping early


def test_nothing_is_stopped_that_nobody_asked_to_stop(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL)
    before = streamer.stopping_criteria(InputIds(2, 1), None)
    streamer.put(prompt("p", "p"))

    meanwhile = streamer.stopping_criteria(InputIds(2, 2), None)

    assert (before, meanwhile) == (False, False)


def test_cancelled_stream_stops_generation(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    streamer.put(prompt("p"))
    streamer.put(step("a"))

    streamer.streams[0].cancel("enough", by="test")
    stopped = streamer.stopping_criteria(InputIds(1, 2), None)
    streamer.end()

    assert stopped is True
    assert reasons(streamer) == ["cancelled"]


def test_stop_string_stops_generation(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), stop="b")

    for value in (prompt("p"), step("a"), step("b")):
        streamer.put(value)

    assert streamer.stopping_criteria(InputIds(1, 3), None) is True


def test_only_the_rows_that_were_cancelled_stop(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)
    streamer.put(prompt("p", "p", "p"))
    streamer.put(step("ax1"))

    streamer.streams[1].cancel()

    assert streamer.stopping_criteria(InputIds(3, 2), None) == [False, True, False]


@pytest.mark.parametrize("criteria_first", [True, False])
def test_cancelled_row_ends_with_the_last_id_that_generate_returns_for_it(fan: MemoryFan, criteria_first: bool) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    def generate_step(text: str, length: int) -> None:
        # Versions of transformers differ in what comes first.
        if criteria_first:
            streamer.stopping_criteria(InputIds(2, length), None)
        streamer.put(step(text))
        if not criteria_first:
            streamer.stopping_criteria(InputIds(2, length), None)

    streamer.put(prompt("prompt", "prompt"))
    generate_step("ax", 7)
    streamer.streams[0].cancel()
    generate_step("by", 8)
    generate_step("cz", 9)

    assert reasons(streamer) == ["cancelled", None]
    assert ids_of(streamer.streams[0]) == encode("ab")


def test_without_the_criterion_a_cancelled_stream_goes_on_to_the_end(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    streamer.put(prompt("p"))

    streamer.streams[0].cancel()
    streamer.put(step("a"))
    streamer.end()

    assert texts(streamer) == ["a"]
    assert reasons(streamer) == ["cancelled"]


def test_stream_that_somebody_else_has_ended_stops_generation_and_raises_nothing(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    streamer.put(prompt("p"))

    streamer.streams[0].fail("the fan was closed")
    streamer.put(step("a"))
    stopped = streamer.stopping_criteria(InputIds(1, 2), None)
    streamer.end()

    assert stopped is True
    assert reasons(streamer) == ["error"]


# One run after the other


def test_runs_may_follow_one_another(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    with streamer:
        generate(streamer, "one.")
        first = streamer.streams
        generate(streamer, "two.", "three.")

    assert [stream.text for stream in first] == ["one"]
    assert texts(streamer) == ["two", "three"]


def test_end_without_a_run_is_nothing(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    streamer.end()
    generate(streamer, "a")
    streamer.end()

    assert [stream.text for stream in fan.opened] == ["pa"]


def test_there_are_no_drafts(fan: MemoryFan) -> None:
    # generate() looks for the method, and would retract what it has put.
    assert not hasattr(fan.streamer(Letters()), "put_draft")


def test_streams_are_announced_before_any_text(fan: MemoryFan) -> None:
    seen: list[list[str]] = []
    announced = Streamer(
        fan, Letters(), model=MODEL, on_open=lambda streams: seen.append([stream.text for stream in streams])
    )

    generate(announced, "a.", "b.")

    assert seen == [["", ""]]


# Runs that do not get to their end


def test_exception_that_leaves_the_with_fails_the_streams_after_their_text(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), stop="xyz", skip_prompt=True)

    with pytest.raises(ZeroDivisionError), streamer:
        streamer.put(prompt("p"))
        streamer.put(step("ax"))
        raise ZeroDivisionError("boom")

    (stream,) = streamer.streams
    assert stream.text == "ax"
    assert stream.outcome is not None
    assert stream.outcome.error is not None
    assert (stream.outcome.error.type, stream.outcome.error.message) == ("ZeroDivisionError", "boom")


def test_rows_that_have_ended_keep_their_outcome_when_the_run_fails(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL)

    with pytest.raises(ZeroDivisionError), streamer:
        streamer.put(prompt("p", "p"))
        streamer.put(step(".a"))
        raise ZeroDivisionError

    assert reasons(streamer) == ["stop", "error"]


def test_interrupt_from_the_keyboard_cancels(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    with pytest.raises(KeyboardInterrupt), streamer:
        streamer.put(prompt("p"))
        raise KeyboardInterrupt

    assert reasons(streamer) == ["cancelled"]


def test_leaving_the_with_in_the_middle_of_a_run_is_an_error_that_says_so(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    with pytest.raises(StreamerMisuse, match=r"without end\(\)"), streamer:
        streamer.put(prompt("p"))

    assert reasons(streamer) == ["error"]


def test_leaving_the_with_without_any_run_is_an_error_that_says_so(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    generate(streamer, "earlier")

    with pytest.raises(StreamerMisuse, match="streamer=streamer"), streamer:
        pass


def test_entering_the_with_in_the_middle_of_a_run_is_an_error_once(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    streamer.put(prompt("p"))

    with pytest.raises(StreamerMisuse, match="middle of a run"), streamer:
        pass

    assert reasons(streamer) == ["error"]
    with streamer:
        generate(streamer, "again")
    assert texts(streamer) == ["pagain"]


@pytest.mark.parametrize(
    ("rows", "steps", "second"),
    [
        (1, [step("a")], prompt("prompt")),
        (1, [], prompt("")),
        (1, [], prompt("p", "p")),
        (2, [step("ab")], prompt("p", "p")),
        (2, [], prompt("p")),
        (2, [], prompt("", "")),
        (2, [], step("abc")),
    ],
)
def test_second_prompt_in_the_middle_of_a_run_is_an_error_that_says_so(
    fan: MemoryFan, rows: int, steps: list[Ids], second: Ids
) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)
    for value in (prompt(*["p"] * rows), *steps):
        streamer.put(value)

    with pytest.raises(StreamerMisuse, match="left half-way"):
        streamer.put(second)

    assert reasons(streamer) == ["error"] * rows
    assert "prompt" not in "".join(texts(streamer))


def test_second_prompt_that_looks_like_a_block_is_an_error_one_step_later(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    streamer.put(prompt("p"))
    streamer.put(prompt("prompt"))

    with pytest.raises(StreamerMisuse, match="left half-way"):
        streamer.put(step("a"))

    assert reasons(streamer) == ["error"]


def test_streamer_is_fit_for_use_after_a_misuse(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    for value in (prompt("p"), step("a")):
        streamer.put(value)
    with pytest.raises(StreamerMisuse):
        streamer.put(prompt("p"))

    generate(streamer, "new")

    assert texts(streamer) == ["new"]
    assert reasons(streamer) == ["length"]


def test_streams_fail_when_their_streamer_is_dropped(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL)
    streamer.put(prompt("p", "p"))
    gone = weakref.ref(streamer)

    del streamer
    gc.collect()

    assert gone() is None
    assert [stream.finish_reason for stream in fan.opened] == ["error", "error"]


def test_streams_that_have_ended_stay_as_they_are_when_their_streamer_is_dropped(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    generate(streamer, "a.")

    del streamer
    gc.collect()

    assert [stream.finish_reason for stream in fan.opened] == ["stop"]


def test_streamer_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, streamfan.streamer, streamfan.generation; print({'torch', 'transformers'} & sys.modules.keys())"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output == "set()\n"
