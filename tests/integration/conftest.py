from __future__ import annotations

import inspect
import signal
from typing import TYPE_CHECKING

import pytest
from redis import connection as redis_connection
from redis._parsers import _HiredisParser, _RESP2Parser

from streamfan.subscriber import hubs
from tests.support.receiver import CERTIFICATE
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer, free_port

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


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: RedisCluster) -> RedisCluster:
    """Three masters with a replica each, without keys; the same ones for all tests."""
    running_cluster.restart()
    running_cluster.clear()
    return running_cluster


@pytest.fixture
def tls() -> Iterator[tuple[RedisServer, str]]:
    """A server, and the URL of its encrypted port."""
    port = free_port()
    files = (f"tls-{kind}-file {CERTIFICATE}" for kind in ("cert", "key", "ca-cert"))
    with RedisServer(f"tls-port {port}", "tls-auth-clients no", *files) as server:
        yield server, f"rediss://localhost:{port}/0?ssl_ca_certs={CERTIFICATE}"


@pytest.fixture(params=["redis-py's", "hiredis"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are read by either of the two parsers that redis-py has.

    For tests of what depends on how a parser keeps what it has not given yet, and a few more. All others read with
    hiredis, as programs do where it is installed.
    """
    hiredis = request.param == "hiredis"
    chosen = _HiredisParser if hiredis else _RESP2Parser
    init = inspect.unwrap(redis_connection.AbstractConnection.__init__)
    defaults = [chosen if each is redis_connection.DefaultParser else each for each in init.__defaults__ or ()]
    monkeypatch.setattr(init, "__defaults__", tuple(defaults))
    monkeypatch.setattr(redis_connection, "HIREDIS_AVAILABLE", hiredis)
    # One that has not ended yet reads as the last test did.
    hubs._forget()
