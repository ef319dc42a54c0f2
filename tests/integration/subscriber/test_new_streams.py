"""Every stream that begins, one after the other, each complete."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan, asubscribe, subscribe
from streamfan.errors import ServerRefused, ServerUnreachable, StreamFailed, UsageError, WireError
from streamfan.events import Fault, Start, Text
from tests.support.producer import Background, wait_for_listeners
from tests.support.redis_server import RedisServer, commands
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from streamfan import Event, Subscription
    from tests.support.producer import Produce

INDEX = "streamfan:streams"


def test_what_has_begun_before_is_not_read(server: RedisServer, produce: Produce) -> None:
    produce(server.url, "old").write("old text")
    subscription = subscribe(server.url)
    reading = Background(lambda: next(subscription))
    wait_for_listeners(server.client, INDEX)

    produce(server.url, "new").write("new text")

    assert reading.result() == "new text"
    assert subscription.stream == "new"
    subscription.close()


def test_a_stream_that_has_come_and_gone_before_anybody_iterates_is_read(server: RedisServer) -> None:
    with subscribe(server.url) as subscription:
        with Fan(server.url) as fan, fan.open("s") as stream:
            stream.write("all of it")

        assert next(subscription) == "all of it"


async def test_nor_does_a_task_miss_it(server: RedisServer) -> None:
    async with asubscribe(server.url) as subscription:
        with Fan(server.url) as fan, fan.open("s") as stream:
            stream.write("all of it")

        assert await anext(subscription) == "all of it"


def test_where_nobody_answers_subscribing_does_not_wait_for_streams() -> None:
    with RedisServer() as server:
        server.freeze()

        # Otherwise this test ends with the hour.
        subscribe(server.url, wait=3600).close()


def test_many_texts_are_read_whole_one_after_the_other(server: RedisServer) -> None:
    names = [f"s{number:03}" for number in range(200)]
    reading = Background(lambda: _texts(subscribe(server.url, events=True), len(names)))
    wait_for_listeners(server.client, INDEX)

    with Fan(server.url) as fan:
        streams = [fan.open(name) for name in names]
        for piece in ("text ", "of "):
            for stream in streams:
                stream.write(piece)
        for name, stream in zip(names, streams, strict=True):
            stream.write(name)
            stream.end()

    assert reading.result() == {name: f"text of {name}" for name in names}


def _texts(subscription: Subscription[Event], count: int) -> dict[str, str]:
    """The texts of the next streams; each is whole before the next has begun."""
    texts: dict[str, str] = {}
    ended = 0
    with subscription:
        for event in subscription:
            if isinstance(event, Start):
                assert len(texts) == ended
                texts[event.stream] = ""
            elif isinstance(event, Text):
                texts[event.stream] += event.text
            else:
                ended += 1
                if ended == count:
                    break
    return texts


def test_the_failure_of_one_does_not_end_it(server: RedisServer, produce: Produce) -> None:
    subscription = subscribe(server.url)
    reading = Background(lambda: next(subscription))
    wait_for_listeners(server.client, INDEX)
    produce(server.url, "a").end(finish_reason="error", error=Fault("ValueError", "no"))

    with pytest.raises(StreamFailed, match="stream 'a' failed: ValueError: no"):
        reading.result()
    reading = Background(lambda: next(subscription))
    produce(server.url, "b").write("text of b")

    assert (reading.result(), subscription.stream) == ("text of b", "b")
    subscription.close()


def test_a_stream_that_holds_something_else_does_not_end_it(server: RedisServer, produce: Produce) -> None:
    subscription = subscribe(server.url)
    reading = Background(lambda: next(subscription))
    wait_for_listeners(server.client, INDEX)
    server.client.xadd("streamfan:{a}:log", {"other": "thing"})
    server.client.zadd(INDEX, {"a": 1})
    server.client.publish(INDEX, "a")
    server.client.publish(INDEX, "no id at all")

    with pytest.raises(WireError):
        reading.result()
    produce(server.url, "b").write("text of b")

    assert next(subscription) == "text of b"
    subscription.close()


def test_what_only_the_index_tells_of_is_read_too(server: RedisServer, produce: Produce) -> None:
    subscription = subscribe(server.url)
    reading = Background(lambda: next(subscription))
    wait_for_listeners(server.client, INDEX)
    produce(server.url, "first").end()
    producer = produce(server.url, "second", prefix="elsewhere")
    producer.write("found")
    for part in ("log", "lease", "attempt"):
        server.client.rename(f"elsewhere:{{second}}:{part}", f"streamfan:{{second}}:{part}")

    server.client.zadd(INDEX, {"second": 1})

    assert reading.result() == "found"
    subscription.close()


def test_of_an_index_that_somebody_has_filled_only_the_latest_are_looked_at(server: RedisServer) -> None:
    server.client.zadd(INDEX, {f"s{number}": number for number in range(5000)})
    server.client.config_resetstat()

    with subscribe(server.url):
        assert commands(server.client, "xrevrange") == 1000


def test_a_later_attempt_at_a_known_stream_is_read_whether_heard_of_or_found(
    server: RedisServer, produce: Produce
) -> None:
    for name in ("heard", "found"):
        produce(server.url, name, attempt=7).write("old")
    server.client.config_resetstat()
    subscription = subscribe(server.url)
    reading = Background(lambda: [*islice(subscription, 2)])
    wait_for_listeners(server.client, INDEX)
    # It has found out what there was before.
    wait_until(lambda: commands(server.client, "xrevrange") == 2)

    # What keeps a log only, publishes nothing.
    for name, options in (("heard", {}), ("found", {"mode": "log"})):
        with produce(server.url, name, attempt=8, **options) as producer:
            producer.write(f"new {name}")
            producer.end()

    assert sorted(reading.result()) == ["new found", "new heard"]
    subscription.close()


async def test_an_event_loop_reads_them_too(server: RedisServer, produce: Produce) -> None:
    async with asubscribe(server.url, events=True) as subscription:
        reading = Background(lambda: _produce_when_listened_to(server, produce))
        events = [await anext(subscription) for _ in range(6)]
        reading.result()

    assert [(event.stream, event.type) for event in events] == [
        (stream, kind) for stream in ("a", "b") for kind in ("start", "text", "end")
    ]


def _produce_when_listened_to(server: RedisServer, produce: Produce) -> None:
    wait_for_listeners(server.client, INDEX)
    for name in ("a", "b"):
        producer = produce(server.url, name)
        producer.write(name)
        producer.end()


def test_a_server_that_was_away_brings_what_has_begun_since(produce: Produce) -> None:
    with RedisServer("appendonly yes", "appendfsync always") as server:
        subscription = subscribe(server.url)
        reading = Background(lambda: "".join(islice(subscription, 2)))
        wait_for_listeners(server.client, INDEX)
        with_a = produce(server.url, "a")
        with_a.write("text of a, ")
        with_a.end()

        server.kill()
        server.start()
        produce(server.url, "b").write("text of b")

        assert reading.result() == "text of a, text of b"
        subscription.close()


def test_a_server_that_is_not_there_is_told_and_tried_again() -> None:
    server = RedisServer()
    subscription = subscribe(server.url)

    with pytest.raises(ServerUnreachable):
        next(subscription)
    with pytest.raises(ServerUnreachable):
        next(subscription)
    subscription.close()
    server.stop()


def test_a_server_that_is_not_there_yet_is_waited_for(produce: Produce) -> None:
    server = RedisServer()
    with subscribe(server.url, wait=20) as subscription:
        reading = Background(lambda: next(subscription))
        with pytest.raises(ServerUnreachable):
            next(subscribe(server.url))

        with server:
            wait_for_listeners(server.client, INDEX)
            produce(server.url).write("Hello")

            assert reading.result() == "Hello"


def test_nothing_can_be_stopped_before_a_stream_has_begun(server: RedisServer) -> None:
    with pytest.raises(UsageError, match="no stream has begun yet"):
        subscribe(server.url).cancel()


def test_what_is_wrong_with_the_index_does_not_concern_those_who_know_their_stream(
    server: RedisServer, produce: Produce
) -> None:
    producer = produce(server.url, "known")
    producer.write("a")
    with subscribe(server.url, "known") as known:
        assert next(known) == "a"
        server.client.set(INDEX, "something else")

        with pytest.raises(ServerRefused, match="WRONGTYPE"), subscribe(server.url) as everything:
            next(everything)

        producer.write("b")
        assert next(known) == "b"


def test_second_thread_that_reads_the_same_is_told_so(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url, "s")
    with subscribe(server.url, "s") as subscription:
        reading = Background(lambda: next(subscription))
        wait_for_listeners(server.client, "streamfan:{s}:live")

        with pytest.raises(UsageError, match="another thread"):
            next(subscription)

        producer.write("text")
        assert reading.result() == "text"


def test_what_begins_in_another_database_of_the_server_is_none_of_it(server: RedisServer, produce: Produce) -> None:
    other = server.url.removesuffix("/0") + "/1"
    assert other != server.url
    with subscribe(server.url) as subscription:
        produce(other, "elsewhere").write("not here")
        produce(other, "s", attempt=200).write("not here either")

        produce(server.url, "s", attempt=100).write("here")

        assert next(subscription) == "here"
