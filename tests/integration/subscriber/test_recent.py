"""The recent streams: what they are called, how they are, and how much text they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.errors import ServerRefused, ServerUnreachable
from streamfan.events import Fault
from streamfan.redis.address import Address
from streamfan.subscriber.recent import RecentStream, recent
from tests.support.redis_server import free_port

if TYPE_CHECKING:
    from tests.support.producer import Produce
    from tests.support.redis_server import RedisServer

INDEX = "streamfan:streams"


def states(url: str) -> dict[str, str]:
    return {stream.id: stream.state for stream in recent(Address(url))}


def test_streams_are_listed_with_what_is_known_of_them(anywhere: str, produce: Produce) -> None:
    running = produce(anywhere, "running", model="demo")
    running.write("tïme")
    done = produce(anywhere, "done")
    done.write("Once ", "upon")
    done.end()

    found = {stream.id: stream for stream in recent(Address(anywhere))}

    opened = running.info.time
    assert found["running"] == RecentStream(id="running", state="running", model="demo", opened=opened, bytes=5)
    assert found["done"] == RecentStream(id="done", state="stop", opened=done.info.time, bytes=9)


def test_the_latest_comes_first_and_not_more_than_asked_for(server: RedisServer, produce: Produce) -> None:
    for number, name in enumerate(("a", "b", "c")):
        produce(server.url, name)
        server.client.zadd(INDEX, {name: number})

    assert [stream.id for stream in recent(Address(server.url), count=2)] == ["c", "b"]


def test_each_state_has_its_name(server: RedisServer, produce: Produce) -> None:
    for reason in ("stop", "length", "cancelled", "error"):
        producer = produce(server.url, reason)
        producer.end(finish_reason=reason, error=Fault("ValueError", "no") if reason == "error" else None)
    lost = produce(server.url, "lost")
    lost.client.delete(lost.names.lease)
    forgotten = produce(server.url, "forgotten")
    forgotten.client.delete(forgotten.names.log)
    produce(server.url, "running")

    assert states(server.url) == {
        name: name for name in ("stop", "length", "cancelled", "error", "lost", "forgotten", "running")
    }


def test_of_several_attempts_the_latest_is_told(server: RedisServer, produce: Produce) -> None:
    produce(server.url, attempt=7, model="old").write("Once upon a time")
    produce(server.url, attempt=8, model="new").write("It")

    (stream,) = recent(Address(server.url))

    assert (stream.model, stream.bytes) == ("new", 2)


def test_where_the_start_was_trimmed_less_is_known(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url, model="demo")
    producer.write("Once ", "upon")
    server.client.xtrim(producer.names.log, maxlen=1, approximate=False)

    (stream,) = recent(Address(server.url))

    assert stream == RecentStream(id="s", state="running", bytes=9)


def test_what_is_no_stream_is_left_out_or_known_by_its_name(server: RedisServer, produce: Produce) -> None:
    produce(server.url, "good").end()
    server.client.zadd(INDEX, {"../etc": 1, "": 2, "odd": 3, "text": 4})
    server.client.xadd("streamfan:{odd}:log", {"other": "thing"})
    server.client.set("streamfan:{text}:log", "text")

    assert states(server.url) == {"good": "stop", "odd": "lost", "text": "forgotten"}


def test_a_server_without_streams_has_none(server: RedisServer) -> None:
    assert recent(Address(server.url)) == []


def test_a_prefix_is_another_world(server: RedisServer, produce: Produce) -> None:
    produce(server.url, prefix="mine").end()

    assert recent(Address(server.url)) == []
    assert [stream.id for stream in recent(Address(server.url), "mine")] == ["s"]


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ServerUnreachable, match="refused"):
        recent(Address(f"redis://localhost:{free_port()}/0"))


def test_an_index_that_is_something_else_is_told(server: RedisServer) -> None:
    server.client.set(INDEX, "text")

    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        recent(Address(server.url))


def test_many_streams_take_no_more_round_trips_than_few(server: RedisServer, produce: Produce) -> None:
    log = produce(server.url).names.log
    for number in range(60):
        server.client.copy(log, f"streamfan:{{s{number}}}:log")
        server.client.zadd(INDEX, {f"s{number}": number})
    before = server.client.info("stats")["total_reads_processed"]

    found = recent(Address(server.url), count=60)

    assert len(found) == 60
    assert {stream.state for stream in found} == {"lost", "running"}
    assert server.client.info("stats")["total_reads_processed"] - before < 20
