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
from streamfan.subscriber.newcomers import Newcomers
from tests.support.scripted_hub import WANTED
from tests.support.wire_events import end, start, text

if TYPE_CHECKING:
    from tests.support.scripted_hub import ScriptedHub


@pytest.fixture
def newcomers(hub: ScriptedHub) -> Newcomers:
    made = Newcomers(WANTED, lambda: None)
    made.begin()
    return made


def test_before_a_stream_begins_there_is_nothing(newcomers: Newcomers) -> None:
    assert newcomers.take() is None
    assert (newcomers.stream, newcomers.attempt, newcomers.offset) == (None, 0, 0)
    assert (newcomers.info, newcomers.outcome, newcomers.over) == (None, None, False)


def test_each_stream_is_read_to_its_end_before_the_next(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin("a", "b")

    first = [newcomers.take()]
    reading = list(hub.readers)
    hub.say("a", start(), text(0, "Hello"), end("Hello"))
    first += [newcomers.take(), newcomers.take()]
    then = list(hub.readers)
    hub.say("b", start(), text(0, "Bye"))

    assert (first, reading) == ([None, "Hello", None], ["a"])
    assert then == ["b"]
    assert (newcomers.take(), newcomers.stream, newcomers.offset) == ("Bye", "b", 3)


def test_while_one_stream_is_read_its_outcome_is_not_that_of_the_last(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin("a")
    newcomers.take()
    hub.say("a", start(), text(0, "Hello"), end("Hello"))
    newcomers.take()
    newcomers.take()
    outcome = newcomers.outcome

    hub.begin("b")
    newcomers.take()

    assert outcome == end("Hello")
    assert newcomers.outcome is None


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
    error: StreamfanError, hub: ScriptedHub, newcomers: Newcomers
) -> None:
    hub.begin("a", "b")
    newcomers.take()
    hub.say("a", text(0, "Hello"), error)

    told = newcomers.take()
    with pytest.raises(type(error)):
        newcomers.take()
    newcomers.begin()
    newcomers.take()
    hub.say("b", text(0, "Bye"))

    assert (told, newcomers.take(), newcomers.stream) == ("Hello", "Bye", "b")


def test_a_stream_that_has_failed_is_followed_by_the_next(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin("a", "b")
    newcomers.take()
    hub.say("a", end("", finish_reason="error", error=Fault("ValueError", "no")))

    with pytest.raises(StreamFailed, match="stream 'a' failed: ValueError: no"):
        newcomers.take()
    newcomers.take()

    assert list(hub.readers) == ["b"]


@pytest.mark.parametrize(
    "error",
    [HistoryTrimmed("a", 0, 90), Restarted("a", 7, 8), ServerUnreachable("away")],
    ids=lambda error: type(error).__name__,
)
def test_after_what_may_go_on_the_same_stream_goes_on(
    error: StreamfanError, hub: ScriptedHub, newcomers: Newcomers
) -> None:
    hub.begin("a", "b")
    newcomers.take()
    hub.say("a", text(0, "Hello"), error)
    newcomers.take()

    with pytest.raises(type(error)):
        newcomers.take()
    newcomers.begin()
    hub.say("a", text(90, "later"))

    assert (newcomers.take(), newcomers.stream) == ("later", "a")


def test_a_later_attempt_at_a_stream_that_was_read_is_read_too(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin("a", attempt=7)
    newcomers.take()
    hub.say("a", text(0, "Hello"), end("Hello"))
    got = [newcomers.take(), newcomers.take()]

    hub.begin("a", attempt=8)
    got.append(newcomers.take())
    hub.say("a", text(0, "Again", 8))

    assert got == ["Hello", None, None]
    assert (newcomers.take(), newcomers.attempt) == ("Again", 8)


def test_a_later_attempt_that_was_read_after_a_restart_is_not_read_again(
    hub: ScriptedHub, newcomers: Newcomers
) -> None:
    hub.begin("a", attempt=7)
    newcomers.take()
    hub.say("a", text(0, "Hello"))
    newcomers.take()
    hub.begin("a", attempt=8)
    hub.readers["a"].found(8)
    with pytest.raises(Restarted):
        newcomers.take()
    newcomers.begin()
    hub.say("a", text(0, "Again", 8), end("Again", 8))

    assert [newcomers.take(), newcomers.take()] == ["Again", None]
    assert hub.readers == {}


def test_an_attempt_of_which_nothing_was_seen_is_left_for_a_later_one_without_a_word(
    hub: ScriptedHub, newcomers: Newcomers
) -> None:
    hub.begin("a", attempt=7)
    newcomers.take()
    hub.readers["a"].found(8)

    nothing = newcomers.take()
    hub.say("a", text(0, "Again", 8))

    assert (nothing, newcomers.take(), newcomers.attempt) == (None, "Again", 8)


def test_a_server_that_is_lost_is_told_after_the_streams_that_were_found(
    hub: ScriptedHub, newcomers: Newcomers
) -> None:
    hub.begin("a")
    hub.attending.pop().fail(ServerUnreachable("away"))
    newcomers.take()
    hub.say("a", end(""))

    with pytest.raises(ServerUnreachable):
        newcomers.take()
    newcomers.begin()

    assert len(hub.attending) == 1


def test_left_it_waits_and_reads_no_more(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin("a", "b")
    newcomers.take()
    hub.say("a", text(0, "Hello"))

    newcomers.close()

    assert (hub.attending, hub.readers) == ([], {})
    assert (newcomers.take(), newcomers.over) == (None, True)


def test_forgotten_it_waits_and_reads_no_more(hub: ScriptedHub) -> None:
    newcomers = Newcomers(WANTED, lambda: None)
    newcomers.begin()
    hub.begin("a")
    newcomers.take()

    del newcomers

    assert (hub.attending, hub.readers) == ([], {})


def test_a_child_is_refused(hub: ScriptedHub, newcomers: Newcomers, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.begin("a")
    newcomers.take()
    process = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: process + 1)

    with pytest.raises(UsageError, match="belongs to the parent process"):
        newcomers.take()


def test_what_is_stopped_is_the_stream_that_is_read(hub: ScriptedHub, newcomers: Newcomers) -> None:
    with pytest.raises(UsageError, match="no stream has begun yet"):
        newcomers.cancel("enough", "ann")
    hub.begin("a", "b")
    newcomers.take()

    newcomers.cancel("enough", "ann")

    ((stream, stop),) = hub.stops
    assert (stream, stop.reason, stop.by) == ("a", "enough", "ann")


def test_of_streams_that_anybody_announces_only_so_many_wait(hub: ScriptedHub, newcomers: Newcomers) -> None:
    hub.begin(*(f"s{number}" for number in range(30_000)))

    assert len(newcomers._found) == 10_000
