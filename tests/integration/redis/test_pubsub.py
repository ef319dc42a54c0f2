"""Plain pub/sub, for subscribers that know nothing of logs: at most once, and what may be lost is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.events import Start, Text, encode
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.report import State
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.deliveries import chunks, deliver, ending
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import PATIENCE, RedisServer
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_sinks import Make

TEXT = {"mode": "pubsub", "format": "text"}


class Subscriber:
    """What a program hears that has subscribed to a channel."""

    def __init__(self, client: Any, channel: str) -> None:
        self._pubsub = client.pubsub()
        self._pubsub.subscribe(channel)
        assert self._pubsub.get_message(timeout=PATIENCE)["type"] == "subscribe"
        self._client = client
        self._channel = channel

    def messages(self) -> list[str]:
        """All that has come so far."""
        # Not only what is there: the server has to have passed on everything.
        self._client.publish(self._channel, "<mark>")
        heard = []
        while (message := self._pubsub.get_message(timeout=PATIENCE)["data"]) != "<mark>":
            heard.append(message)
        return heard

    def close(self) -> None:
        self._pubsub.close()


@pytest.fixture
def subscriber(client: Any) -> Iterator[Subscriber]:
    subscriber = Subscriber(client, "streamfan:{s}:live")
    yield subscriber
    subscriber.close()


@pytest.fixture
def listener(server: RedisServer) -> Iterator[Subscriber]:
    subscriber = Subscriber(server.client, "streamfan:{s}:live")
    yield subscriber
    subscriber.close()


def test_every_event_is_published_and_nothing_is_kept(
    make: Make, url: str, client: Any, subscriber: Subscriber
) -> None:
    stream = deliver(make(url, mode="pubsub"), "Hé", "llo")

    events = [json.loads(message) for message in subscriber.messages()]
    assert [event["type"] for event in events] == ["start", "text", "text", "end"]
    assert [event["attempt"] for event in events] == [stream.attempt] * 4
    assert [event.get("text") for event in events[1:3]] == ["Hé", "llo"]
    assert client.keys() == []


def test_the_text_alone_can_be_published(make: Make, url: str, subscriber: Subscriber) -> None:
    deliver(make(url, **TEXT), "Hé", "llo\n")

    assert subscriber.messages() == ["Hé", "llo\n"]


@pytest.mark.parametrize(("channel", "expected"), [("chat", "chat"), ("chat/{stream}/out", "chat/s/out")])
def test_the_channel_can_be_chosen(channel: str, expected: str, make: Make, url: str, client: Any) -> None:
    subscriber = Subscriber(client, expected)

    deliver(make(url, channel=channel, **TEXT), "Hello")

    assert subscriber.messages() == ["Hello"]
    subscriber.close()


def test_token_ids_can_be_left_out(make: Make, url: str, subscriber: Subscriber) -> None:
    sink, stream = make(url, mode="pubsub", token_ids=False), info()
    sink.open(stream)
    sink.write(chunks(stream, "Hello", token_ids=[15496])[0])
    sink.close(stream, ending(stream, "Hello", token_ids=[2]))

    assert [json.loads(message).get("token_ids", []) for message in subscriber.messages()] == [[], [], []]


def test_text_whose_reply_was_lost_is_published_once_and_counted_as_lost(
    server: RedisServer, listener: Subscriber
) -> None:
    with FaultProxy(server.port) as proxy:
        sink = RedisSink(proxy.url, RedisOptions.model_validate(TEXT))
        with Fan() as fan:
            fan.add(sink, lane=LaneOptions(linger=0.0))
            with fan.open("s") as stream:
                stream.write("Once ")
                wait_until(lambda: fan.report.sinks[0].bytes == 5)
                proxy.lose_reply()
                stream.write("upon ")
                wait_until(lambda: fan.report.sinks[0].bytes == 10)
                stream.write("a time")

    report = fan.report.sinks[0]
    assert listener.messages() == ["Once ", "upon ", "a time"]
    assert (report.guarantee, report.lost, report.missing, report.complete) == ("at most once", 5, 0, 0)
    assert report.failed


def test_while_the_server_is_away_text_waits_and_only_what_may_have_arrived_is_lost() -> None:
    with RedisServer() as server, Fan() as fan:
        fan.add(RedisSink(server.url, RedisOptions.model_validate(TEXT)), lane=LaneOptions(linger=0.0))
        with fan.open("s") as stream:
            stream.write("Once ")
            wait_until(lambda: fan.report.sinks[0].bytes == 5)
            server.kill()
            stream.write("upon ")
            wait_until(lambda: fan.report.sinks[0].state is State.DEGRADED)
            stream.write("a time")
            server.start()
        fan.close()

    report = fan.report.sinks[0]
    assert report.lost in {0, 5}
    assert (report.bytes, report.missing) == (16, 0)


def test_text_that_arrives_after_it_was_given_up_is_not_there_twice(server: RedisServer, listener: Subscriber) -> None:
    heard: list[str] = []
    with FaultProxy(server.port) as proxy, Fan() as fan:
        sink = RedisSink(f"{proxy.url}?socket_timeout=0.3", RedisOptions.model_validate(TEXT))
        fan.add(sink, lane=LaneOptions(linger=0.0))
        with fan.open("s") as stream:
            stream.write("Once ")
            wait_until(lambda: fan.report.sinks[0].bytes == 5)
            proxy.stall()
            stream.write("upon ")
            wait_until(lambda: fan.report.sinks[0].retries > 0)
            stream.write("a time")
            proxy.resume()
        fan.close()
        while len(heard) < 3:
            heard += listener.messages()

    # Late, and so perhaps behind what was sent later.
    assert sorted(heard) == ["Once ", "a time", "upon "]
    assert fan.report.sinks[0].lost == 5


def test_a_dead_connection_that_has_been_quiet_costs_no_text(
    server: RedisServer, listener: Subscriber, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamfan.sinks.redis.pubsub_mode._QUIET", 0.0)
    with FaultProxy(server.port) as proxy:
        sink, stream = make(proxy.url, **TEXT), info()
        sink.open(stream)
        first, second = chunks(stream, "Once ", "upon")
        sink.write(first)

        proxy.cut()
        sink.write(second)

        assert listener.messages() == ["Once ", "upon"]


def test_what_was_not_sent_is_sent_when_somebody_answers(
    server: RedisServer, listener: Subscriber, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamfan.sinks.redis.pubsub_mode._QUIET", 0.0)
    with FaultProxy(server.port) as proxy:
        sink, stream = make(f"{proxy.url}?socket_timeout=0.3", **TEXT), info()
        sink.open(stream)
        first, second = chunks(stream, "Once ", "upon")
        sink.write(first)

        proxy.silence()
        with pytest.raises(Retryable):
            sink.write(second)
        proxy.speak()

        assert sink.open(stream) == first.end
        sink.write(second)
        assert listener.messages() == ["Once ", "upon"]


def test_a_start_whose_reply_was_lost_is_published_once(server: RedisServer, listener: Subscriber, make: Make) -> None:
    with FaultProxy(server.port) as proxy:
        sink, stream = make(proxy.url, mode="pubsub"), info()
        chunk = chunks(stream, "Hello")[0]

        proxy.lose_reply()
        assert sink.open(stream) is None
        sink.write(chunk)

        assert listener.messages() == [encode(Start.of(stream)).decode(), encode(Text.of(chunk)).decode()]


def test_an_end_whose_reply_was_lost_is_published_once_and_the_stream_has_failed(
    server: RedisServer, listener: Subscriber
) -> None:
    options = RedisOptions.model_validate({"mode": "pubsub"})
    with FaultProxy(server.port) as proxy, Fan(RedisSink(proxy.url, options)) as fan, fan.open("s") as stream:
        stream.write("Hello")
        wait_until(lambda: fan.report.sinks[0].bytes == 5)
        proxy.lose_reply()

    assert [json.loads(message)["type"] for message in listener.messages()] == ["start", "text", "end"]
    report = fan.report.sinks[0]
    assert report.complete == 0
    assert report.error is not None
    assert report.error.endswith("the end may not have been published, and it is not sent twice")


def test_a_user_who_may_not_publish_there_is_told(server: RedisServer, make: Make) -> None:
    server.client.acl_setuser("other", enabled=True, nopass=True, categories=["+@all"], channels=["other"])
    sink = make(server.url.replace("//", "//other:x@"), **TEXT)
    stream = info()
    sink.open(stream)

    with pytest.raises(Permanent, match="one of the channels"):
        sink.write(chunks(stream, "Hello")[0])
