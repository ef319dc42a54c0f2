"""Asking a producer to stop, from a subscriber: what it finds, and who is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streamfan import asubscribe, subscribe
from streamfan.errors import CancelRefused, ServerUnreachable, StreamNotFound, UsageError
from streamfan.events import Cancellation
from streamfan.redis.control import CancelRequest
from tests.support.fault_proxy import FaultProxy
from tests.support.producer import Background, wait_for_listeners
from tests.support.redis_server import PATIENCE, free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from tests.support.producer import Produce, Producer
    from tests.support.redis_server import RedisServer


def request_for(producer: Producer) -> CancelRequest:
    data = producer.client.get(producer.names.cancel)
    return CancelRequest.decode(data)


def test_the_request_is_where_the_producer_finds_it(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere)
    producer.show_life(20, control="open")

    subscribe(anywhere, "s").cancel("seen enough", by="ann")

    attempt = producer.info.attempt
    assert request_for(producer) == CancelRequest(attempt=attempt, reason="seen enough", by="ann")
    assert 3500 < producer.client.ttl(producer.names.cancel) <= 3600


def test_who_asks_reads_on_to_the_end_that_answers(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="open")
    producer.write("Once ")
    subscription = subscribe(server.url, "s")
    read = [next(subscription)]

    subscription.cancel("seen enough", by="ann")
    request = request_for(producer)
    producer.write("upon")
    producer.end(finish_reason="cancelled", cancel=Cancellation(request.reason, request.by))

    assert [*read, *subscription] == ["Once ", "upon"]
    assert subscription.outcome is not None
    assert subscription.outcome.cancel == Cancellation("seen enough", "ann")


async def test_a_task_can_ask_too(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="open")

    await asubscribe(server.url, "s").cancel("seen enough", by="ann")

    assert request_for(producer).reason == "seen enough"


def test_a_token_is_proved_and_not_told(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="token")

    subscribe(server.url, "s", token="s3cr3t").cancel()

    assert request_for(producer).proves("s3cr3t", "s")
    assert not request_for(producer).proves("other", "s")
    assert b"s3cr3t" not in producer.client.get(producer.names.cancel)


def test_a_producer_that_hears_nobody_is_not_asked(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="off")

    with pytest.raises(CancelRefused, match=r"hears no request to stop\nTry: -o redis\.control=true"):
        subscribe(server.url, "s").cancel()

    assert producer.client.get(producer.names.cancel) is None


def test_a_producer_that_wants_a_token_is_not_asked_without(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="token")

    with pytest.raises(CancelRefused, match="wants a token"):
        subscribe(server.url, "s").cancel()

    assert producer.client.get(producer.names.cancel) is None


def test_a_producer_that_shows_no_life_is_not_asked(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.client.delete(producer.names.lease)

    with pytest.raises(CancelRefused, match="nobody hears it"):
        subscribe(server.url, "s").cancel()


def test_another_attempt_than_the_one_that_was_read_is_not_stopped(server: RedisServer, produce: Produce) -> None:
    old = produce(server.url, attempt=7)
    old.write("Once ")
    subscription = subscribe(server.url, "s")
    next(subscription)
    subscription.close()

    produce(server.url, attempt=8).show_life(20, control="open")

    with pytest.raises(CancelRefused, match="attempt 7 is over, and attempt 8 was not meant"):
        subscription.cancel()
    assert old.client.get(old.names.cancel) is None


def test_a_stream_that_is_not_there_is_told(server: RedisServer) -> None:
    with pytest.raises(StreamNotFound, match="there is no stream 'missing'"):
        subscribe(server.url, "missing").cancel()


def test_a_stream_that_has_ended_is_left_alone(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.end()

    subscribe(server.url, "s").cancel()

    assert producer.client.get(producer.names.cancel) is None


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ServerUnreachable, match="refused"):
        subscribe(f"redis://localhost:{free_port()}/0", "s").cancel()


def test_of_new_streams_the_one_that_is_read_is_stopped(server: RedisServer, produce: Produce) -> None:
    subscription = subscribe(server.url)
    with pytest.raises(UsageError, match="no stream has begun yet"):
        subscription.cancel()
    reading = Background(lambda: next(subscription))
    wait_for_listeners(server.client, "streamfan:streams")
    producer = produce(server.url)
    producer.show_life(20, control="open")
    producer.write("Once ")
    reading.result()

    subscription.cancel("seen enough")
    subscription.close()

    assert request_for(producer).reason == "seen enough"


async def test_a_task_that_gives_up_asking_harms_no_reader(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    with FaultProxy(server.port) as proxy:
        subscription = asubscribe(f"{proxy.url}?socket_timeout=1", "s", wait=20)
        producer.write("Once ")
        read = [await anext(subscription)]
        proxy.silence()
        # The first waits for an answer, and the second for the first.
        asking = [asyncio.create_task(subscription.cancel()) for _ in range(2)]
        await asyncio.to_thread(proxy.kept_back.wait, PATIENCE)

        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        proxy.speak()
        producer.write("upon")
        read.append(await anext(subscription))

        assert read == ["Once ", "upon"]
        subscription.close()


def test_leaving_asks_for_nothing(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.show_life(20, control="open")
    producer.write("Once ")
    with subscribe(server.url, "s") as subscription:
        next(subscription)
    del subscription

    wait_until(lambda: server.client.pubsub_numsub(producer.names.live)[0][1] == 0)

    assert producer.client.get(producer.names.cancel) is None
