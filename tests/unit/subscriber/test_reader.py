"""What a reader needs next: the attempt, the log, the channel, room, or nothing."""

from __future__ import annotations

import pytest

from streamfan.errors import HistoryTrimmed, Restarted, StreamNotFound, TextAltered, WireError
from streamfan.events import Event, Gap, encode
from streamfan.redis.names import EntryId
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Phase, Reader
from tests.support.wire_events import ATTEMPT, STREAM, end, entry, page, start, taken, text

HELLO: list[Event] = [start(), text(0, "Hello")]


def reader(offset: int = 0, attempt: int = 0) -> Reader:
    made = Reader(STREAM, offset, Mailbox(lambda: None), attempt)
    made.resume(0.0)
    return made


def live(*events: Event) -> Reader:
    """A reader that has read these from the log, and emptied its mailbox."""
    made = reader()
    made.found(ATTEMPT)
    made.take_page(page(events), last=True)
    taken(made)
    assert made.phase is Phase.LIVE
    return made


def filled(made: Reader) -> Reader:
    """The same with a mailbox that has no room."""
    while not made.mailbox.full:
        made.mailbox.put(text(0, "x" * 1000))
    return made


# The log


def test_it_seeks_the_newest_attempt_first() -> None:
    made = reader()

    phases = [made.phase]
    made.found(ATTEMPT)

    assert [*phases, made.phase] == [Phase.SEEKING, Phase.CATCHING_UP]


@pytest.mark.parametrize(("offset", "asked_from"), [(0, "7-0"), (5, "(7-5")])
def test_it_reads_the_log_from_its_start_or_after_its_offset(offset: int, asked_from: str) -> None:
    made = reader(offset)

    made.found(ATTEMPT)

    assert made.next_id == asked_from


def test_the_attempt_that_is_meant_is_read_from_the_offset() -> None:
    made = reader(5, ATTEMPT)

    made.found(ATTEMPT)

    assert (made.phase, made.next_id) == (Phase.CATCHING_UP, "(7-5")


def test_where_the_attempt_that_is_meant_is_over_the_later_one_is_told_and_read_from_its_start() -> None:
    made = reader(5, 6)

    made.found(ATTEMPT)
    (told,) = taken(made)
    made.resume(0.0)

    assert isinstance(told, Restarted)
    assert (told.attempt, told.newer) == (6, ATTEMPT)
    assert (made.phase, made.next_id) == (Phase.CATCHING_UP, "7-0")


def test_an_attempt_that_is_not_there_yet_is_sought() -> None:
    made = reader(0, 8)

    made.found(ATTEMPT)
    first = made.phase
    made.found(8)

    assert (first, made.phase, made.next_id) == (Phase.SEEKING, Phase.CATCHING_UP, "8-0")


def test_it_reads_page_after_page_and_then_the_channel() -> None:
    made = reader()
    made.found(ATTEMPT)

    made.take_page(page(HELLO), last=False)
    between = (made.phase, made.next_id)
    made.take_page(page([text(5, ", world")]), last=True)

    assert between == (Phase.CATCHING_UP, "(7-5")
    assert made.phase is Phase.LIVE
    assert taken(made) == [*HELLO, text(5, ", world")]


def test_the_end_ends_it() -> None:
    made = reader()
    made.found(ATTEMPT)

    made.take_page(page([*HELLO, end("Hello")]), last=True)

    assert made.phase is Phase.OVER
    assert taken(made) == [*HELLO, end("Hello")]


def test_a_full_mailbox_makes_it_pause_until_there_is_room() -> None:
    made = filled(live(*HELLO))

    made.reconsider()
    made.take_page(page([text(5, ", world")]), last=True)
    paused = made.phase
    taken(made)
    made.make_room()

    # What was read of the log and had no room is read again.
    assert paused is Phase.PAUSED
    assert (made.phase, made.next_id) == (Phase.CATCHING_UP, "(7-5")


def test_a_hole_in_the_log_is_told_and_reading_goes_on_after_it() -> None:
    made = reader()
    made.found(ATTEMPT)
    rest = [text(90, "later"), text(95, "!")]

    made.take_page(page(rest), last=True)
    told = taken(made)
    made.resume(0.0)

    assert [(error.offset, error.end) for error in told if isinstance(error, HistoryTrimmed)] == [(0, 90)]
    assert (made.phase, made.next_id) == (Phase.CATCHING_UP, "(7-90")
    made.take_page(page(rest), last=True)
    assert taken(made) == rest


def test_a_later_attempt_in_the_log_is_told_and_reading_goes_on_at_its_start() -> None:
    made = live(*HELLO)

    made.reconsider()
    made.take_page(page([text(5, ", "), start(8), text(0, "Hi", 8)]), last=True)
    first, told = taken(made)
    made.resume(0.0)

    assert first == text(5, ", ")
    assert isinstance(told, Restarted)
    assert (told.attempt, told.newer) == (ATTEMPT, 8)
    assert (made.phase, made.next_id) == (Phase.CATCHING_UP, "8-0")


def test_an_entry_that_is_no_event_ends_it_with_an_error() -> None:
    made = reader()
    made.found(ATTEMPT)

    made.take_page([entry(start()), (EntryId(ATTEMPT, 5), b"")], last=True)

    assert made.phase is Phase.OVER
    first, told = taken(made)
    assert first == start()
    assert isinstance(told, WireError)


@pytest.mark.parametrize(
    ("id", "event"),
    [
        (EntryId(ATTEMPT, 9), start()),
        (EntryId(ATTEMPT, 9), text(0, "Hello")),
        (EntryId(ATTEMPT, 9), end("Hello")),
        (EntryId(ATTEMPT, 9), text(5, " old", 6)),
    ],
    ids=["start", "text", "end", "attempt"],
)
def test_an_entry_that_stands_where_its_event_does_not_belong_ends_it_with_an_error(id: EntryId, event: Event) -> None:
    made = live(*HELLO)
    made.reconsider()

    made.take_page([(id, encode(event))], last=False)

    (told,) = taken(made)
    assert isinstance(told, WireError)
    assert f"entry 7-9 of its log is a {event.type} of " in str(told)


def test_an_entry_that_brings_nothing_new_is_not_read_again() -> None:
    made = reader()
    made.found(ATTEMPT)

    made.take_page(page([text(0, "")]), last=False)
    after = made.next_id
    made.take_page([], last=True)
    made.compare(EntryId(ATTEMPT, 0), ended=False)

    assert (after, made.phase) == ("(7-0", Phase.LIVE)


def test_an_error_comes_after_what_was_read_and_only_once() -> None:
    made = live()

    made.hear(start())
    for _ in range(2):
        made.fail(StreamNotFound())

    first, *told = taken(made)
    assert first == start()
    assert [type(error) for error in told] == [StreamNotFound]


# The channel


def test_what_the_channel_says_next_is_taken() -> None:
    made = live(*HELLO)

    made.hear(text(0, "Hello"))
    made.hear(text(3, "lo, "))
    made.hear(end("Hello, "))

    assert made.phase is Phase.OVER
    assert taken(made) == [text(5, ", "), end("Hello, ")]


@pytest.mark.parametrize(
    "event", [text(9, "orld"), end("Hello, world"), start(8), text(0, "Hello", 8)], ids=lambda event: str(event.type)
)
def test_what_shows_that_something_was_missed_sends_it_to_the_log(event: Event) -> None:
    made = live(*HELLO)

    made.hear(event)

    assert made.phase is Phase.CATCHING_UP
    assert taken(made) == []


@pytest.mark.parametrize(
    "lie",
    [
        text(0, "Hello, world", end=7),
        text(4, "é"),
        end("Hel"),
        end("Hallo"),
        Gap(stream=STREAM, attempt=ATTEMPT, offset=0, end=900),
        Gap(stream=STREAM, attempt=ATTEMPT, offset=5, end=900),
    ],
    ids=["length", "inside a character", "end before", "other sha256", "gap", "gap that follows"],
)
def test_a_channel_that_lies_does_no_harm_for_the_log_is_asked(lie: Event) -> None:
    made = live(*HELLO)

    made.hear(lie)

    assert (made.phase, made.position.offset) == (Phase.CATCHING_UP, 5)
    made.take_page(page([text(5, ", world"), end("Hello, world")]), last=True)
    assert taken(made) == [text(5, ", world"), end("Hello, world")]


def test_what_is_of_an_older_attempt_is_not_heard() -> None:
    made = live(*HELLO)

    made.hear(text(5, " old", 6))
    made.hear(end("Hello", 6))

    assert made.phase is Phase.LIVE
    assert taken(made) == []


@pytest.mark.parametrize("phase", [Phase.SEEKING, Phase.CATCHING_UP, Phase.PAUSED, Phase.OVER])
def test_before_the_log_was_read_the_channel_is_not_heard(phase: Phase) -> None:
    made = live(*HELLO)
    made.phase = phase

    made.hear(text(5, ", world"))

    assert (made.phase, taken(made)) == (phase, [])


def test_what_finds_no_room_is_left_to_the_log() -> None:
    made = filled(live(*HELLO))

    made.hear(text(5, ", world"))

    assert (made.phase, made.next_id) == (Phase.PAUSED, "(7-5")


def test_a_lost_connection_sends_it_to_the_log() -> None:
    made = live(*HELLO)

    made.reconsider()

    assert made.phase is Phase.CATCHING_UP


# What the log ends with


def test_a_log_that_goes_further_is_read() -> None:
    made = live(*HELLO)

    made.compare(EntryId(ATTEMPT, 5), ended=False)
    same = made.phase
    made.compare(EntryId(ATTEMPT, 6), ended=True)

    assert (same, made.phase) == (Phase.LIVE, Phase.CATCHING_UP)


@pytest.mark.parametrize("last", [EntryId(ATTEMPT, 3), EntryId(6, 900)], ids=["shorter", "older"])
def test_a_log_that_is_being_written_again_is_waited_for(last: EntryId) -> None:
    made = live(*HELLO)

    made.compare(last, ended=False)

    assert made.phase is Phase.LIVE


def test_a_log_that_has_ended_before_what_was_read_is_another_text() -> None:
    made = live(*HELLO)

    made.compare(EntryId(ATTEMPT, 4), ended=True)

    (told,) = taken(made)
    assert isinstance(told, TextAltered)
    assert "has ended after 3 bytes, so byte 5 is of another text" in str(told)
