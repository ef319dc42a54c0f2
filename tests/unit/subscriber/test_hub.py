"""The thread that reads for all: whom it serves, what it says when the server is away; the server is scripted."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from streamfan import retry
from streamfan.errors import CancelRefused, ServerRefused, ServerUnreachable, StreamfanError
from streamfan.redis.errors import Refused, Unreachable
from streamfan.redis.lease import Lease
from streamfan.redis.names import Names
from streamfan.subscriber import channels, hub
from streamfan.subscriber.arrivals import Arrival, Arrivals
from streamfan.subscriber.hub import Hub
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Phase, Reader
from streamfan.subscriber.stopping import Stop
from tests.support.scripted_redis import HERE, ScriptedRedis
from tests.support.sinks import wait_until
from tests.support.wire_events import ATTEMPT, STREAM, start, taken, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from streamfan.events import Event

STOP = Stop(0, "enough", "ann", None)
AWAY = Unreachable("Redis at redis://here: connection refused")


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> ScriptedRedis:
    """The server that hubs read from."""
    made = ScriptedRedis()
    monkeypatch.setattr(hub, "Servers", made.servers)
    monkeypatch.setattr(channels, "Doorbell", made.doorbell)
    monkeypatch.setattr(hub, "_IDLE", 0.05)
    monkeypatch.setattr(retry, "_LONGEST_PAUSE", 0.1)
    return made


@pytest.fixture
def made(redis: ScriptedRedis) -> Iterator[Hub]:
    """A hub, whose thread ends with the test."""
    over: list[None] = []
    made = Hub(HERE, "streamfan", lambda _: bool(over))
    yield made
    over.append(None)
    redis.babble = False
    made._thread.join(20)
    assert not made._thread.is_alive()


def reading(made: Hub, stream: str = STREAM, *, patience: float = 0.0) -> Reader:
    reader = Reader(stream, 0, Mailbox(lambda: None))
    made.read(reader, patience)
    return reader


def test_a_channel_that_never_stops_keeps_nobody_from_joining(redis: ScriptedRedis, made: Hub) -> None:
    redis.logs = {STREAM: [start()], "other": [start()]}
    first = reading(made)
    wait_until(lambda: taken(first))

    redis.babble = True
    second = reading(made, "other")
    wait_until(lambda: taken(second))
    made.leave(second)
    made.leave(first)

    wait_until(lambda: first.phase is second.phase is Phase.OVER)


def test_a_silent_server_has_no_longer_than_a_producer_gives_it(redis: ScriptedRedis, made: Hub) -> None:
    redis.logs = {STREAM: [start()]}
    reader = reading(made)
    wait_until(lambda: taken(reader))

    made.leave(reader)

    assert redis.timeouts == {"commands": 2.0, "doorbell": 2.0}


# When the server is away


def live(redis: ScriptedRedis, made: Hub, *, patience: float = 0.0) -> Reader:
    """A reader that has read what there is."""
    redis.logs = {STREAM: [start()]}
    reader = reading(made, patience=patience)
    wait_until(lambda: taken(reader))
    wait_until(lambda: reader.phase is Phase.LIVE)
    return reader


def next_of(reader: Reader) -> Event | BaseException:
    """What a reader gets next."""
    got: list[Event | BaseException] = []
    wait_until(lambda: got or got.__iadd__(taken(reader)))
    return got[0]


def test_a_server_that_was_never_there_is_told_at_once(redis: ScriptedRedis, made: Hub) -> None:
    redis.away = AWAY

    told = next_of(reading(made))

    assert isinstance(told, ServerUnreachable)


def test_a_server_that_is_away_is_told_after_a_minute_and_not_before(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = live(redis, made)
    tries = redis.tries

    redis.away = AWAY
    wait_until(lambda: redis.tries > tries + 3)
    before = taken(reader)
    monkeypatch.setattr(hub, "monotonic", lambda: time.monotonic() + 61)
    told = next_of(reader)

    assert before == []
    assert isinstance(told, ServerUnreachable)
    assert caplog.messages == [f"{AWAY}; trying again"]


def test_who_would_wait_longer_is_told_later(redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATIENCE", 0.0)
    patient = live(redis, made, patience=300)
    impatient = reading(made)
    wait_until(lambda: taken(impatient))

    redis.away = AWAY
    told = next_of(impatient)
    redis.logs[STREAM].append(text(0, "Hello"))
    redis.away = None
    got = next_of(patient)
    made.leave(patient)

    assert isinstance(told, ServerUnreachable)
    assert got == text(0, "Hello")


def test_who_comes_while_the_server_is_away_is_told_at_once_and_the_others_are_not(
    redis: ScriptedRedis, made: Hub
) -> None:
    before = live(redis, made)
    found: list[list[Arrival | BaseException]] = [[], []]
    listed, late = Arrivals(found[0].append), Arrivals(found[1].append)
    made.attend(listed, 0)
    listed.attended.result(20)

    redis.away = AWAY
    told = next_of(reading(made, "other"))
    made.attend(late, 0)
    wait_until(lambda: found[1])

    assert isinstance(told, ServerUnreachable)
    assert isinstance(found[1][0], ServerUnreachable)
    assert (taken(before), found[0]) == ([], [])
    made.leave(before)
    made.dismiss(listed)


def test_who_comes_when_the_connection_has_just_been_cut_is_read_for(redis: ScriptedRedis, made: Hub) -> None:
    before = live(redis, made)

    redis.logs["other"] = [start()]
    redis.cut = AWAY
    late = reading(made, "other")
    got = next_of(late)

    assert got == start()
    made.leave(before)
    made.leave(late)


def test_who_waits_for_new_streams_waits_for_a_server_too(redis: ScriptedRedis, made: Hub) -> None:
    found: list[list[Arrival | BaseException]] = [[], []]
    patient, impatient = Arrivals(found[0].append), Arrivals(found[1].append)
    redis.away = AWAY

    made.attend(patient, 300)
    made.attend(impatient, 0)
    wait_until(lambda: found[1])
    redis.away = None
    wait_until(lambda: redis.asked)
    redis.listed.append("new")
    wait_until(lambda: found[0])
    made.dismiss(patient)

    assert isinstance(found[1][0], ServerUnreachable)
    assert found[0] == [Arrival("new")]


def test_what_no_other_try_changes_is_told_to_the_patient_too(redis: ScriptedRedis, made: Hub) -> None:
    redis.away = Refused("invalid username-password pair")

    told = next_of(reading(made, patience=300))

    assert isinstance(told, ServerRefused)


def test_a_fault_of_this_package_is_told_to_whoever_waits(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis, "home", lambda: None)

    told = next_of(reading(made, patience=300))

    assert isinstance(told, StreamfanError)
    assert str(told) == f"reading from Redis at {HERE} failed: TypeError"
    assert str(told) in caplog.text


def test_where_a_fault_was_is_there_for_whoever_looks_for_it(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "streamfan.subscriber")
    monkeypatch.setattr(redis, "home", lambda: None)

    next_of(reading(made))

    assert re.search(r"watches\.py:\d+ in listen", caplog.text)


def test_of_a_fault_nothing_is_told_but_its_type_and_place_for_it_may_hold_a_password(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "streamfan.subscriber")
    monkeypatch.setattr(redis, "home", lambda _: "s3cr3t\udcff".encode())

    told = next_of(reading(made, patience=300))

    assert str(told).endswith("failed: UnicodeEncodeError")
    assert "s3cr3t" not in f"{told!r} {caplog.text}"


def test_time_in_which_nobody_read_is_no_contact(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts: list[float] = []
    reader = live(redis, made)
    monkeypatch.setattr(made._watches, "scan", contacts.append)
    made.make_room(reader)
    wait_until(lambda: contacts)

    before = contacts[-1]
    skipped = time.monotonic()
    monkeypatch.setattr(hub, "monotonic", lambda: time.monotonic() + 9)
    made.make_room(reader)
    wait_until(lambda: contacts[-1] != before)
    made.leave(reader)

    assert before <= skipped
    assert contacts[-1] >= skipped + 9


# Requests to stop


def test_a_request_to_stop_is_left(redis: ScriptedRedis, made: Hub) -> None:
    redis.leases[STREAM] = Lease(attempt=ATTEMPT, writer="w", seconds=20, control="open").encode()

    made.stop(STREAM, STOP).result(20)

    assert redis.set == [Names("streamfan", STREAM).cancel]


def test_a_request_that_is_refused_harms_no_reader(redis: ScriptedRedis, made: Hub) -> None:
    reader = live(redis, made)
    redis.leases[STREAM] = Lease(attempt=ATTEMPT, writer="w", seconds=20, control="off").encode()

    first = made.stop(STREAM, STOP).exception(20)
    redis.leases[STREAM] = Lease(attempt=ATTEMPT, writer="w", seconds=20, control="open").encode()
    redis.refuses["SET"] = Refused("NOPERM")
    second = made.stop(STREAM, STOP).exception(20)
    made.leave(reader)

    assert (type(first), type(second)) == (CancelRefused, ServerRefused)
    assert len(redis.doorbells) == 1
    assert taken(reader) == []


def test_a_request_that_finds_the_server_lost_breaks_contact_for_all(redis: ScriptedRedis, made: Hub) -> None:
    reader = live(redis, made)

    redis.silent = AWAY
    error = made.stop(STREAM, STOP).exception(20)
    redis.silent = None
    wait_until(lambda: len(redis.doorbells) == 2)
    made.leave(reader)

    assert isinstance(error, ServerUnreachable)


def test_many_requests_to_a_silent_server_wait_for_one_answer(
    redis: ScriptedRedis, made: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_PROMPT", -1.0)
    gate = threading.Event()
    made._order(lambda: gate.wait(20))
    redis.silent = AWAY
    asked: list[int] = []

    futures = [made.stop(STREAM, STOP) for _ in range(5)]
    futures[-1].add_done_callback(lambda _: asked.append(redis.asked))
    gate.set()
    errors = [future.exception(20) for future in futures]

    assert {type(error) for error in errors} == {ServerUnreachable}
    assert len({id(error) for error in errors}) == 5
    assert asked == [1]


def test_a_request_that_finds_a_cut_connection_is_left_by_the_next(redis: ScriptedRedis, made: Hub) -> None:
    redis.leases[STREAM] = Lease(attempt=ATTEMPT, writer="w", seconds=20, control="open").encode()
    redis.cut = AWAY

    made.stop(STREAM, STOP).result(20)

    assert redis.set == [Names("streamfan", STREAM).cancel]


def test_a_request_that_nobody_waits_for_any_more_is_not_left(redis: ScriptedRedis, made: Hub) -> None:
    redis.leases[STREAM] = Lease(attempt=ATTEMPT, writer="w", seconds=20, control="open").encode()
    gate = threading.Event()
    made._order(lambda: gate.wait(20))

    left: list[Future[bool]] = [made.stop(name, STOP) for name in (STREAM, "other")]
    left[0].cancel()
    gate.set()
    left[1].exception(20)

    assert redis.set == []
