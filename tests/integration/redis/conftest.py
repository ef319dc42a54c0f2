from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_sinks import Make


@pytest.fixture(scope="session")
def running_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    running_server.client.flushall()
    return running_server


@pytest.fixture
def make(server: RedisServer) -> Iterator[Make]:
    sinks = []

    def make(url: str | None = None, **options: object) -> RedisSink:
        sink = RedisSink(url or server.url, RedisOptions.model_validate(options))
        sinks.append(sink)
        sink.connect()
        return sink

    yield make
    for sink in sinks:
        sink.disconnect()
