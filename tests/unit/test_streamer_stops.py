"""Stop strings, and streams that somebody wants to end early."""

from __future__ import annotations

import pytest

from tests.support.letters import MODEL, InputIds, Letters, block, encode, generate, prompt, reasons, step, texts
from tests.support.opener import MemoryFan, ids_of


@pytest.fixture
def fan() -> MemoryFan:
    return MemoryFan()


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
    at_once = reasons(streamer)
    generate_step("cz", 9)

    assert at_once == ["cancelled", None]
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
    before = streamer.stopping_criteria(InputIds(1, 2), None)
    streamer.put(step("a"))
    after = streamer.stopping_criteria(InputIds(1, 3), None)
    streamer.end()

    assert (before, after) == (True, True)
    assert reasons(streamer) == ["error"]
