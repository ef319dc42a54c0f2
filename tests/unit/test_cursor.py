"""What a cursor wants next, and when; no thread and no sink's work is in here."""

from __future__ import annotations

from math import inf

import pytest

from streamfan.cursor import Cursor, Step
from streamfan.errors import Permanent
from streamfan.options import LaneOptions
from streamfan.stream import Stream
from tests.support.sinks import MemorySink
from tests.support.streams import silent_stream


def opened_cursor(stream: Stream, options: LaneOptions | None = None) -> Cursor:
    cursor = Cursor(stream, MemorySink(), options or LaneOptions(linger=10))
    assert (cursor.due(0.0), cursor.step()) == (0.0, Step.OPEN)
    cursor.opened_at(None)
    return cursor


def deliver(cursor: Cursor) -> str:
    assert cursor.step() is Step.WRITE
    assert cursor.chunk is not None
    text = cursor.chunk.text
    cursor.delivered(cursor.chunk, 0.0)
    return text


def test_nothing_is_due_while_there_is_no_text() -> None:
    cursor = opened_cursor(silent_stream())

    assert (cursor.due(0.0), cursor.step()) == (inf, None)


def test_first_chunk_is_due_at_once_and_later_text_after_the_linger() -> None:
    stream = silent_stream()
    cursor = opened_cursor(stream)
    stream.write("first")
    assert cursor.due(0.0) == 0.0
    deliver(cursor)

    stream.write("second")
    due = cursor.due(0.0)
    stream.write("third")

    assert due == cursor.due(0.0) == stream.written_at(5) + 10


def test_lane_that_is_awake_takes_text_along_that_has_waited_long_enough() -> None:
    stream = silent_stream()
    cursor = opened_cursor(stream)
    stream.write("first")
    deliver(cursor)
    stream.write("second")
    written = stream.written_at(5)

    assert cursor.due(written + 4) == written + 10
    assert cursor.due(written + 6) == written + 6


def test_the_end_waits_for_no_linger() -> None:
    stream = silent_stream()
    cursor = opened_cursor(stream)
    stream.write("first")
    deliver(cursor)
    stream.write("second")

    stream.end()

    assert cursor.due(0.0) == 0.0
    assert deliver(cursor) == "second"
    assert cursor.step() is Step.CLOSE


def test_text_without_its_boundary_is_looked_at_once_for_each_growth() -> None:
    stream = silent_stream()
    cursor = opened_cursor(stream, LaneOptions(boundary="line"))
    stream.write("half a line")
    assert cursor.step() is None

    assert cursor.due(0.0) == inf
    stream.write(", and its end\nmore")

    assert deliver(cursor) == "half a line, and its end\n"


def test_stream_that_was_given_up_is_closed_when_it_has_ended_and_not_before() -> None:
    stream = silent_stream()
    cursor = opened_cursor(stream)
    stream.write("text")

    cursor.give_up(Permanent("refused"))

    assert (cursor.due(0.0), cursor.step(), cursor.done) == (inf, None, False)
    stream.end()
    assert (cursor.due(0.0), cursor.step()) == (0.0, Step.CLOSE)
    assert not cursor.ending().complete


def test_stream_that_was_never_opened_owes_nothing_when_it_is_given_up() -> None:
    cursor = Cursor(silent_stream(), MemorySink(), LaneOptions())

    cursor.give_up(Permanent("refused"))

    assert cursor.done


# An attempt that another program has published before


def reopened(stream: Stream, held: int) -> Cursor:
    """A cursor whose destination says that it holds so much."""
    cursor = Cursor(stream, MemorySink(), LaneOptions(linger=10))
    stream.write("first")
    assert cursor.step() is Step.OPEN
    cursor.opened_at(held)
    return cursor


def test_what_an_earlier_program_has_left_is_gone_on_from_once_there_is_as_much() -> None:
    stream = silent_stream(again=True)
    cursor = reopened(stream, held=11)
    assert (cursor.due(0.0), cursor.step()) == (inf, None)

    stream.write("second and third")

    assert cursor.due(0.0) == 0.0
    assert deliver(cursor) == " and third"
    assert cursor.report("sink").bytes == 21


def test_nothing_is_due_where_the_destination_has_more_than_what_was_in_flight() -> None:
    stream = silent_stream(again=True)
    cursor = reopened(stream, held=0)
    assert cursor.step() is Step.WRITE
    cursor.failed(ConnectionError("cut"), Step.WRITE, 0.0, inf)

    cursor.opened_at(11)

    assert (cursor.due(100.0), cursor.step()) == (inf, None)
    stream.write("second and third")
    assert deliver(cursor) == " and third"


def test_destination_that_has_all_of_it_is_only_closed() -> None:
    stream = silent_stream(again=True)
    cursor = reopened(stream, held=5)
    stream.end()

    assert cursor.step() is Step.CLOSE
    cursor.closed()
    assert cursor.report("sink").complete
    assert cursor.report("sink").sha256 == stream.outcome.sha256  # type: ignore[union-attr]


@pytest.mark.parametrize(("text", "held"), [("", 6), ("é", 6)])
def test_destination_that_has_more_than_all_of_it_or_half_a_character_is_refused(text: str, held: int) -> None:
    stream = silent_stream(again=True)
    cursor = reopened(stream, held)
    stream.write(text)
    stream.end()

    with pytest.raises(ValueError, match=f"open\\(\\) returned {held}"):
        cursor.step()


def test_of_an_attempt_that_is_new_nothing_can_have_been_left() -> None:
    with pytest.raises(ValueError, match="expected None or the end of a character between 0 and 0"):
        reopened(silent_stream(), held=5)
