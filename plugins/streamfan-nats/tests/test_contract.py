"""The contract kit on the nats sink, with a real server: kept streams, and events that are only published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.events import decode
from streamfan.testing import LoseReply, MakeSink, Received, Record, SinkContract
from streamfan_nats import NatsOptions, NatsSink
from tests.support.listener import Listener
from tests.support.reader import messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import StreamInfo
    from tests.support.proxy import CuttingProxy
    from tests.support.server import NatsServer


class TestJetStream(SinkContract):
    """Events that JetStream keeps."""

    @pytest.fixture
    def sink(self, proxy: CuttingProxy) -> MakeSink:
        return lambda: NatsSink(proxy.url)

    @pytest.fixture
    def received(self, server: NatsServer) -> Received:
        def received(stream: StreamInfo) -> list[Record]:
            return [decode(message) for message in messages(server.url, f"streamfan.{stream.id}")]

        return received

    @pytest.fixture
    def lose_reply(self, proxy: CuttingProxy) -> LoseReply:
        return proxy.lose_reply


class TestCore(SinkContract):
    """Events that are only published."""

    @pytest.fixture
    def listener(self, server: NatsServer) -> Iterator[Listener]:
        listener = Listener(server.url, "core")
        yield listener
        listener.close()

    @pytest.fixture
    def sink(self, proxy: CuttingProxy) -> MakeSink:
        return lambda: NatsSink(proxy.url, NatsOptions(mode="core", prefix="core"))

    @pytest.fixture
    def received(self, listener: Listener) -> Received:
        return lambda stream: [decode(message) for message in listener.heard(f"core.{stream.id}")]

    @pytest.fixture
    def lose_reply(self, proxy: CuttingProxy) -> LoseReply:
        return proxy.lose_reply
