"""Keys that somebody has put where the sink's belong, of another type: what counts is the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deliveries import chunks, deliver, ending
from tests.support.redis_sinks import text_of
from tests.support.streams import info

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer
    from tests.support.redis_sinks import Make

LOGGER = "streamfan.sinks.redis"


@pytest.fixture
def client(any_server: RedisServer) -> Any:
    any_server.client.flushall()
    return any_server.client


@pytest.mark.parametrize("mode", ["both", "log"])
def test_a_request_of_another_type_is_ignored_with_one_warning(
    mode: str, any_server: RedisServer, client: Any, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    sink, stream = make(any_server.url, control=True, mode=mode), info()
    first, second = chunks(stream, "Once ", "upon")
    client.lpush("streamfan:{s}:cancel", "junk")

    sink.open(stream)
    sink.write(first)
    sink.beat(stream)
    sink.write(second)
    sink.close(stream, ending(stream, "Once upon"))

    assert text_of(client) == "Once upon"
    assert caplog.messages == ["stream 's': ignored a request to stop: one that cannot be read"]
    assert not client.exists("streamfan:{s}:cancel")


def test_a_request_of_another_type_is_ignored_also_where_nobody_is_heard(
    any_server: RedisServer, client: Any, make: Make
) -> None:
    client.lpush("streamfan:{s}:cancel", "junk")

    deliver(make(any_server.url), "Hello")

    assert text_of(client) == "Hello"


def test_a_lease_of_another_type_is_left_alone_with_one_warning(
    any_server: RedisServer, client: Any, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    sink, stream = make(any_server.url), info()
    sink.open(stream)
    client.delete("streamfan:{s}:lease")
    client.lpush("streamfan:{s}:lease", "junk")

    sink.close(stream, ending(stream))

    assert caplog.messages == ["stream 's': ignored a lease: one that cannot be read"]
    assert client.lrange("streamfan:{s}:lease", 0, -1) == ["junk"]


def test_a_lease_of_another_type_is_replaced_by_the_next_beat(any_server: RedisServer, client: Any, make: Make) -> None:
    sink, stream = make(any_server.url), info()
    client.lpush("streamfan:{s}:lease", "junk")

    sink.open(stream)

    assert client.type("streamfan:{s}:lease") == "string"


def test_an_index_of_another_type_is_ignored_with_one_warning_for_all_streams(
    any_server: RedisServer, client: Any, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    client.set("streamfan:streams", "junk")
    sink = make(any_server.url)

    for id in ("s", "t"):
        deliver(sink, "Hello", stream=info(id))

    assert text_of(client) == text_of(client, "t") == "Hello"
    (message,) = caplog.messages
    assert message.startswith("Redis at ")
    assert message.endswith("'streamfan:streams' has another type than the index of recent streams: none is listed")
    assert client.get("streamfan:streams") == "junk"


def test_connecting_takes_no_offence_at_keys_of_another_type(any_server: RedisServer, client: Any, make: Make) -> None:
    for key in ("log", "attempt", "lease", "cancel"):
        client.sadd(f"streamfan:{{-}}:{key}", "junk")

    deliver(make(any_server.url), "Hello")

    assert text_of(client) == "Hello"
