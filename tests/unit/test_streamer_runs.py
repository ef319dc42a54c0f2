"""One run of `generate()` after the other, and those that do not get to their end."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from streamfan.errors import StreamerMisuse
from streamfan.streamer import Streamer
from tests.support.letters import MODEL, Ids, Letters, generate, prompt, reasons, step, texts
from tests.support.opener import MemoryFan


@pytest.fixture
def fan() -> MemoryFan:
    return MemoryFan()


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


def test_streamer_keeps_the_streams_of_its_last_run_only(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    generate(streamer, "first")
    first = weakref.ref(fan.next())
    fan.opened.clear()

    generate(streamer, "second")
    gc.collect()

    assert first() is None


@pytest.mark.parametrize("module", ["streamer", "generation", "sources.transformers", "sources.stdin"])
def test_module_imports_neither_torch_nor_transformers(module: str) -> None:
    code = f"import sys, streamfan.{module}; print({{'torch', 'transformers'}} & sys.modules.keys())"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output == "set()\n"


# What are no ids


WRONG = [
    (5, "a single int"),
    ([[[1]]], "3 dimensions of int"),
    ([1.0], "1 dimensions of float"),
    ([[float("nan")]], "2 dimensions of float"),
    (["text"], "1 dimensions of str"),
]


@pytest.mark.parametrize(("ids", "described"), WRONG)
def test_prompt_that_is_no_ids_is_refused_and_opens_nothing(fan: MemoryFan, ids: Any, described: str) -> None:
    streamer = fan.streamer(Letters())

    with pytest.raises(StreamerMisuse, match=rf"put\(\) was given {described}, expected token ids"):
        streamer.put(Ids(ids))

    assert fan.opened == []
    generate(streamer, "a")
    assert texts(streamer) == ["pa"]


@pytest.mark.parametrize(("ids", "described"), WRONG)
def test_run_that_begins_with_no_ids_is_refused_and_fails(fan: MemoryFan, ids: Any, described: str) -> None:
    streamer = fan.streamer(Letters())
    streamer.put(prompt("p"))

    with pytest.raises(StreamerMisuse, match=rf"put\(\) was given {described}, expected token ids"):
        streamer.put(Ids(ids))

    assert reasons(streamer) == ["error"]


def test_single_id_in_the_middle_of_a_run_is_refused(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())
    streamer.put(prompt("p"))
    streamer.put(step("a"))

    with pytest.raises(StreamerMisuse, match=r"put\(\) was given a single int"):
        streamer.put(Ids(5))  # type: ignore[arg-type]
