"""Every stream that begins, one after the other; the hub that reads is scripted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import (
    HistoryTrimmed,
    ProducerLost,
    Restarted,
    ServerRefused,
    ServerUnreachable,
    StreamFailed,
    StreamfanError,
    StreamNotFound,
    UsageError,
    WireError,
)
from streamfan.events import Fault
from streamfan.subscriber.new_streams import NewStreams
from tests.support.scripted_hub import WANTED
from tests.support.wire_events import end, start, text

if TYPE_CHECKING:
    from tests.support.scripted_hub import ScriptedHub


@pytest.fixture
def new_streams(hub: ScriptedHub) -> NewStreams:
    made = NewStreams(WANTED, lambda: None)
    made.begin()
    return made


def test_before_a_stream_begins_there_is_nothing(new_streams: NewStreams) -> None:
    assert new_streams.take() is None
    assert (new_streams.stream, new_streams.attempt, new_streams.offset) == (None, 0, 0)
    assert (new_streams.info, new_streams.outcome, new_streams.over) == (None, None, False)


def test_each_stream_is_read_to_its_end_before_the_next(hub: ScriptedHub, new_streams: NewStreams) -> None:
    hub.begin("a", "b")

    first = [new_streams.take()]
    reading = list(hub.readers)
    hub.say("a", start(), text(0, "Hello"), end("Hello"))
    first += [new_streams.take(), new_streams.take()]
    then = list(hub.readers)
    hub.say("b", start(), text(0, "Bye"))

    assert (first, reading) == ([None, "Hello", None], ["a"])
    assert then == ["b"]
    assert (new_streams.take(), new_streams.stream, new_streams.offset) == ("Bye", "b", 3)


def test_while_one_stream_is_read_its_outcome_is_not_that_of_the_last(
    hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a")
    new_streams.take()
    hub.say("a", start(), text(0, "Hello"), end("Hello"))
    new_streams.take()
    new_streams.take()
    outcome = new_streams.outcome

    hub.begin("b")
    new_streams.take()

    assert outcome == end("Hello")
    assert new_streams.outcome is None


@pytest.mark.parametrize(
    "error",
    [
        ProducerLost("a", 5, 20.0),
        StreamNotFound("gone"),
        WireError("not an event"),
        ServerRefused("WRONGTYPE"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_one_stream_is_told_once_and_the_next_one_follows(
    error: StreamfanError, hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a", "b")
    new_streams.take()
    hub.say("a", text(0, "Hello"), error)

    told = new_streams.take()
    with pytest.raises(type(error)):
        new_streams.take()
    new_streams.begin()
    new_streams.take()
    hub.say("b", text(0, "Bye"))

    assert (told, new_streams.take(), new_streams.stream) == ("Hello", "Bye", "b")


def test_a_stream_that_has_failed_is_followed_by_the_next(hub: ScriptedHub, new_streams: NewStreams) -> None:
    hub.begin("a", "b")
    new_streams.take()
    hub.say("a", end("", finish_reason="error", error=Fault("ValueError", "no")))

    with pytest.raises(StreamFailed, match="stream 'a' failed: ValueError: no"):
        new_streams.take()
    new_streams.take()

    assert list(hub.readers) == ["b"]


@pytest.mark.parametrize(
    "error",
    [HistoryTrimmed("a", 0, 90), Restarted("a", 7, 8), ServerUnreachable("away")],
    ids=lambda error: type(error).__name__,
)
def test_after_what_may_go_on_the_same_stream_goes_on(
    error: StreamfanError, hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a", "b")
    new_streams.take()
    hub.say("a", text(0, "Hello"), error)
    new_streams.take()

    with pytest.raises(type(error)):
        new_streams.take()
    new_streams.begin()
    hub.say("a", text(90, "later"))

    assert (new_streams.take(), new_streams.stream) == ("later", "a")


def test_a_later_attempt_at_a_stream_that_was_read_is_read_too(hub: ScriptedHub, new_streams: NewStreams) -> None:
    hub.begin("a", attempt=7)
    new_streams.take()
    hub.say("a", text(0, "Hello"), end("Hello"))
    got = [new_streams.take(), new_streams.take()]

    hub.begin("a", attempt=8)
    got.append(new_streams.take())
    hub.say("a", text(0, "Again", 8))

    assert got == ["Hello", None, None]
    assert (new_streams.take(), new_streams.attempt) == ("Again", 8)


def test_a_later_attempt_that_was_read_after_a_restart_is_not_read_again(
    hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a", attempt=7)
    new_streams.take()
    hub.say("a", text(0, "Hello"))
    new_streams.take()
    hub.begin("a", attempt=8)
    hub.readers["a"].found(8)
    with pytest.raises(Restarted):
        new_streams.take()
    new_streams.begin()
    hub.say("a", text(0, "Again", 8), end("Again", 8))

    assert [new_streams.take(), new_streams.take()] == ["Again", None]
    assert hub.readers == {}


def test_an_attempt_of_which_nothing_was_seen_is_left_for_a_later_one_without_a_word(
    hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a", attempt=7)
    new_streams.take()
    hub.readers["a"].found(8)

    nothing = new_streams.take()
    hub.say("a", text(0, "Again", 8))

    assert (nothing, new_streams.take(), new_streams.attempt) == (None, "Again", 8)


def test_a_server_that_is_lost_is_told_after_the_streams_that_were_found(
    hub: ScriptedHub, new_streams: NewStreams
) -> None:
    hub.begin("a")
    hub.attending.pop().fail(ServerUnreachable("away"))
    new_streams.take()
    hub.say("a", end(""))

    with pytest.raises(ServerUnreachable):
        new_streams.take()
    new_streams.begin()

    assert len(hub.attending) == 1


def test_left_it_waits_and_reads_no_more(hub: ScriptedHub, new_streams: NewStreams) -> None:
    hub.begin("a", "b")
    new_streams.take()
    hub.say("a", text(0, "Hello"))

    new_streams.close()

    assert (hub.attending, hub.readers) == ([], {})
    assert (new_streams.take(), new_streams.over) == (None, True)


def test_forgotten_it_waits_and_reads_no_more(hub: ScriptedHub) -> None:
    new_streams = NewStreams(WANTED, lambda: None)
    new_streams.begin()
    hub.begin("a")
    new_streams.take()

    del new_streams

    assert (hub.attending, hub.readers) == ([], {})


def test_a_child_is_refused(hub: ScriptedHub, new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.begin("a")
    new_streams.take()
    process = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: process + 1)

    with pytest.raises(UsageError, match="belongs to the parent process"):
        new_streams.take()


def test_what_is_stopped_is_the_stream_that_is_read(hub: ScriptedHub, new_streams: NewStreams) -> None:
    with pytest.raises(UsageError, match="no stream has begun yet"):
        new_streams.cancel("enough", "ann")
    hub.begin("a", "b")
    new_streams.take()

    new_streams.cancel("enough", "ann")

    ((stream, stop),) = hub.stops
    assert (stream, stop.reason, stop.by) == ("a", "enough", "ann")


def test_of_streams_that_anybody_announces_only_so_many_wait(hub: ScriptedHub, new_streams: NewStreams) -> None:
    hub.begin(*(f"s{number}" for number in range(30_000)))

    assert len(new_streams._found) == 10_000
