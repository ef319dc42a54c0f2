"""One stream as whoever consumes it sees it; the hub that reads is scripted."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import HistoryTrimmed, ProducerLost, Restarted, StreamFailed, UsageError
from streamfan.events import Event, Fault
from streamfan.subscriber.reading import Reading
from tests.support.scripted_hub import WANTED
from tests.support.wire_events import STREAM, end, page, start, text

if TYPE_CHECKING:
    from tests.support.scripted_hub import ScriptedHub


def begun(*, events: bool = False, offset: int = 0, attempt: int = 0) -> Reading:
    reading = Reading(replace(WANTED, events=events), STREAM, offset, attempt, lambda: None)
    reading.begin()
    return reading


def taken(reading: Reading, count: int) -> list[str | Event | None]:
    return [reading.take() for _ in range(count)]


def test_all_text_that_is_there_is_taken_as_one(hub: ScriptedHub) -> None:
    reading = begun()
    hub.say(STREAM, start(), text(0, "Once "), text(5, "upon"))

    assert taken(reading, 2) == ["Once upon", None]
    assert (reading.info, reading.offset, reading.over) == (start(), 9, False)


def test_the_end_comes_after_all_text(hub: ScriptedHub) -> None:
    reading = begun()
    hub.say(STREAM, text(0, "Once"), end("Once"))

    first, over_then = reading.take(), reading.over
    second = reading.take()

    assert (first, over_then, second, reading.over) == ("Once", False, None, True)
    assert reading.outcome == end("Once")
    assert hub.readers == {}


def test_events_are_taken_one_by_one(hub: ScriptedHub) -> None:
    reading = begun(events=True)
    events: list[Event] = [start(), text(0, "Once "), text(5, "upon"), end("Once upon")]
    hub.say(STREAM, *events)

    assert taken(reading, 5) == [*events, None]
    assert reading.over


@pytest.mark.parametrize(
    ("fault", "said"), [(Fault("ValueError", "no"), "failed: ValueError: no"), (None, "failed: Error: ")]
)
def test_a_failure_comes_after_all_text_and_is_the_last(hub: ScriptedHub, fault: Fault | None, said: str) -> None:
    reading = begun()
    hub.say(STREAM, text(0, "Once"), end("Once", finish_reason="error", error=fault))

    first = reading.take()
    with pytest.raises(StreamFailed, match=said):
        reading.take()

    assert (first, reading.take(), reading.over) == ("Once", None, True)


def test_an_error_comes_in_its_place_and_reading_goes_on(hub: ScriptedHub) -> None:
    reading = begun()
    hub.say(STREAM, text(0, "Once"), HistoryTrimmed(STREAM, 4, 9))

    first = reading.take()
    with pytest.raises(HistoryTrimmed):
        reading.take()
    left = list(hub.readers)
    reading.begin()
    hub.say(STREAM, text(9, "later"))

    assert (first, left, reading.take()) == ("Once", [], "later")


def test_it_begins_again_only_after_an_error(hub: ScriptedHub) -> None:
    reading = begun()
    (reader,) = hub.readers.values()

    hub.readers.clear()
    reading.begin()
    before = dict(hub.readers)
    reader.mailbox.put(ProducerLost(STREAM, 0, 20.0))
    with pytest.raises(ProducerLost):
        reading.take()
    reading.begin()

    assert (before, hub.readers) == ({}, {STREAM: reader})


def test_closed_it_gives_nothing_more_and_is_not_read(hub: ScriptedHub) -> None:
    reading = begun()
    hub.say(STREAM, text(0, "Once"))

    reading.close()
    reading.begin()

    assert (reading.take(), reading.over, hub.readers) == (None, True, {})


def test_forgotten_it_is_not_read(hub: ScriptedHub) -> None:
    reading = begun()

    del reading

    assert hub.readers == {}


def test_only_a_full_mailbox_has_room_again(hub: ScriptedHub) -> None:
    reading = begun()

    for offset in range(10):
        hub.say(STREAM, text(offset, "x"))
        reading.take()
    before = hub.rooms
    hub.say(STREAM, text(10, "x" * 2_000_000))
    full = hub.readers[STREAM].mailbox.full
    reading.take()

    assert (before, full, hub.rooms) == (0, True, 1)


def test_a_child_whose_mailbox_is_locked_is_refused_and_does_not_wait(
    hub: ScriptedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = begun()
    process = os.getpid()

    # The thread that read was putting something into it when the process forked.
    with reading._mailbox._lock:
        monkeypatch.setattr(os, "getpid", lambda: process + 1)
        with pytest.raises(UsageError, match="belongs to the parent process"):
            reading.take()


def test_what_was_read_before_is_counted(hub: ScriptedHub) -> None:
    reading = begun(offset=5)
    before = reading.offset
    hub.say(STREAM, text(5, "upon"))
    reading.take()

    assert (before, reading.offset) == (5, 9)


def test_a_request_to_stop_is_for_the_attempt_of_which_something_was_given(hub: ScriptedHub) -> None:
    reading = begun()
    reading.cancel("enough", "ann")
    hub.say(STREAM, text(0, "Once"))
    reading.take()
    # What is read is ahead of what was given.
    hub.readers[STREAM].found(7)
    hub.readers[STREAM].found(8)

    reading.cancel("enough", "ann")

    assert [(stream, stop.attempt) for stream, stop in hub.stops] == [(STREAM, 0), (STREAM, 7)]


def test_after_a_restart_the_later_attempt_is_the_one(hub: ScriptedHub) -> None:
    reading = begun()
    hub.readers[STREAM].found(7)
    hub.say(STREAM, text(0, "Once"))
    hub.readers[STREAM].found(8)
    reading.take()

    with pytest.raises(Restarted):
        reading.take()

    assert (reading.attempt, reading.offset) == (8, 0)


def test_the_attempt_that_is_meant_is_the_one_that_is_stopped(hub: ScriptedHub) -> None:
    reading = begun(offset=5, attempt=7)

    reading.cancel("enough", "ann")

    ((_, stop),) = hub.stops
    assert (reading.attempt, stop.attempt) == (7, 7)


def test_after_an_error_attempt_and_offset_are_of_the_same_place(hub: ScriptedHub) -> None:
    reading = begun()
    hub.readers[STREAM].found(7)
    hub.readers[STREAM].take_page(page([text(90, "later")]), last=True)

    with pytest.raises(HistoryTrimmed):
        reading.take()

    assert (reading.attempt, reading.offset) == (7, 90)


def test_a_reason_that_cannot_be_written_down_is_refused_before_the_hub_has_it(hub: ScriptedHub) -> None:
    with pytest.raises(UsageError, match="no UTF-8"):
        begun().cancel("enough\udcff", "ann")

    assert hub.stops == []
