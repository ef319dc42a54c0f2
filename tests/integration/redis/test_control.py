"""Readers that ask the producer to stop: who is heard, how soon, and who is not."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import subscribe
from streamfan.events import Cancellation
from streamfan.fan import Fan
from streamfan.redis.control import CancelRequest, proof
from streamfan.redis.lease import Lease
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.deliveries import chunks, ending
from tests.support.fault_proxy import FaultProxy
from tests.support.producer import Background, wait_for_listeners
from tests.support.redis_server import PATIENCE, RedisServer
from tests.support.redis_sinks import between, log_of
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from streamfan.events import StreamInfo
    from tests.support.redis_sinks import Make

KEY = "streamfan:{s}:cancel"
TOKEN = "t0ken"


class Heard(list[tuple[str, str]]):
    """What was asked of a producer."""

    def __call__(self, reason: str, by: str) -> None:
        self.append((reason, by))


def heard_stream() -> tuple[StreamInfo, Heard]:
    heard = Heard()
    return replace(info(), on_cancel=heard), heard


def ask(client: Any, attempt: int, token: str | None = None, by: str = "ann") -> None:
    shown = None if token is None else proof(token, "s", attempt)
    client.set(KEY, CancelRequest(attempt=attempt, reason="enough", by=by, proof=shown).encode())


@pytest.mark.parametrize("publishes", ["both", "log"])
def test_a_request_is_heard_with_the_next_chunk(publishes: str, make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True, mode=publishes)
    sink.open(stream)
    ask(client, stream.attempt)

    sink.write(chunks(stream, "Once")[0])

    assert heard == [("enough", "ann")]


def test_a_request_is_heard_when_no_text_flows(make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True)
    sink.open(stream)
    ask(client, stream.attempt)

    sink.beat(stream)

    assert heard == [("enough", "ann")]


def test_a_request_is_passed_on_once_also_over_a_new_connection(make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True)
    sink.open(stream)
    ask(client, stream.attempt)

    sink.beat(stream)
    sink.disconnect()
    sink.open(stream)
    sink.write(chunks(stream, "Once")[0])

    assert heard == [("enough", "ann")]


def test_a_request_made_before_the_stream_was_opened_is_heard(make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    ask(client, stream.attempt)

    make(url, control=True).open(stream)

    assert heard == [("enough", "ann")]


def test_nobody_is_heard_unless_it_was_said_so(make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    sink = make(url)
    ask(client, stream.attempt)

    sink.open(stream)
    sink.write(chunks(stream, "Once")[0])
    sink.beat(stream)

    assert heard == []


@pytest.mark.parametrize("other", [-1, 1])
def test_a_request_to_another_attempt_is_not_heard(other: int, make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    ask(client, stream.attempt + other)
    sink = make(url, control=True)

    sink.open(stream)
    sink.write(chunks(stream, "Once")[0])

    assert heard == []


def test_the_attempt_that_has_just_taken_over_is_stopped_and_not_the_older_one(
    any_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_server.client.flushall()
    (older, unheard), (later, heard) = heard_stream(), heard_stream()
    old, new = make(any_server.url, control=True), make(any_server.url, control=True)
    old.open(older)
    # Between its asking whose the stream is, and its renewing the lease.
    between(monkeypatch, 1, lambda: new.open(later))
    old.beat(older)

    assert subscribe(any_server.url, "s").cancel("enough", by="ann")
    new.beat(later)

    assert (heard, unheard) == ([("enough", "ann")], [])


def test_who_proves_to_know_the_token_is_heard(make: Make, url: str, client: Any) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True, control_token=TOKEN)
    sink.open(stream)
    ask(client, stream.attempt, TOKEN)

    sink.write(chunks(stream, "Once")[0])

    assert heard == [("enough", "ann")]


@pytest.mark.parametrize("token", [None, "another"])
def test_who_does_not_know_the_token_is_ignored_and_named_once(
    token: str | None, make: Make, url: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True, control_token=TOKEN)
    sink.open(stream)
    ask(client, stream.attempt, token, by="mallory")

    for chunk in chunks(stream, "Once ", "upon"):
        sink.write(chunk)
    sink.beat(stream)

    assert heard == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "stream 's': ignored a request to stop: that of 'mallory', which does not prove" in record.getMessage()
    ask(client, stream.attempt, TOKEN)
    sink.beat(stream)
    assert heard == [("enough", "ann")]


def test_a_request_that_cannot_be_read_is_ignored_and_not_repeated(
    make: Make, url: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stream, heard = heard_stream()
    sink = make(url, control=True, control_token=TOKEN)
    client.set(KEY, f"stop! {TOKEN}")

    sink.open(stream)
    sink.write(chunks(stream, "Once")[0])
    sink.close(stream, ending(stream, "Once"))

    assert heard == []
    assert [record.getMessage() for record in caplog.records] == [
        "stream 's': ignored a request to stop: one that cannot be read"
    ]
    assert TOKEN not in caplog.text
    assert not client.exists(KEY)


@pytest.mark.parametrize(("other", "kept"), [(-1, 0), (0, 0), (1, 1)])
def test_the_end_answers_every_request_but_those_to_later_attempts(
    other: int, kept: int, make: Make, url: str, client: Any
) -> None:
    stream, _ = heard_stream()
    sink = make(url, control=True)
    sink.open(stream)
    ask(client, stream.attempt + other)

    sink.close(stream, ending(stream))

    assert client.exists(KEY) == kept


@pytest.mark.parametrize(
    ("options", "told"),
    [({}, "off"), ({"control": True}, "open"), ({"control": True, "control_token": TOKEN}, "token")],
)
def test_the_lease_says_who_is_heard(options: dict[str, Any], told: str, make: Make, url: str, client: Any) -> None:
    make(url, **options).open(info())

    held = client.get("streamfan:{s}:lease")

    assert Lease.decode(held).control == told
    assert TOKEN not in held


def test_a_fan_stops_and_says_who_wanted_it(url: str, client: Any) -> None:
    sink = RedisSink(url, RedisOptions.model_validate({"control": True}))
    stopped = threading.Event()

    with Fan(sink) as fan, fan.open("s") as stream:
        stream.on_cancel(stopped.set)
        stream.write("Once ")
        ask(client, stream.info.attempt)
        # No text flows: it is heard with a beat.
        assert stopped.wait(timeout=10)

    end = log_of(client)[-1][1]
    assert (end["finish_reason"], end["cancel"]) == ("cancelled", {"reason": "enough", "by": "ann"})
    assert not client.exists(KEY)


@pytest.mark.parametrize("begun", [False, True])
def test_a_request_outlives_a_server_that_comes_back_empty(*, begun: bool) -> None:
    with RedisServer() as server, FaultProxy(server.port) as proxy, Fan() as fan:
        fan.add(RedisSink(proxy.url, RedisOptions.model_validate({"control": True})))
        subscription = subscribe(server.url, "s", wait=PATIENCE)
        with fan.open("s") as stream:
            stream.write("a ")
            wait_until(lambda: server.client.exists("streamfan:{s}:lease"))
            if begun:
                next(subscription)
            # The producer hears nothing of it before the server has lost it.
            proxy.stall()
            assert subscription.cancel("enough", by="ann")
            reading = Background(lambda: [*subscription])
            wait_for_listeners(server.client, "streamfan:{s}:live")
            server.kill()
            server.start()
            proxy.cut()
            proxy.resume()

            wait_until(lambda: stream.cancelled)
        reading.result()

        assert subscription.outcome is not None
        assert subscription.outcome.cancel == Cancellation("enough", "ann")
        wait_until(lambda: not server.client.exists(KEY))
