from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def heeding_interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where it was ignored, as in a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def running_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    """A Redis that is empty; the same one for all tests."""
    running_server.client.flushall()
    return running_server
