"""Events that are only published: at most once, for subscribers that are there."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from streamfan import Chunk, Retryable
from streamfan.testing import new_stream
from streamfan_nats import NatsOptions, NatsSink
from tests.support.listener import Listener
from tests.support.publishing import publish, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.proxy import CuttingProxy
    from tests.support.server import NatsServer

CORE = NatsOptions(mode="core")


@pytest.fixture
def listener(server: NatsServer) -> Iterator[Listener]:
    listener = Listener(server.url, "streamfan")
    yield listener
    listener.close()


def test_subscriber_hears_every_event(server: NatsServer, listener: Listener) -> None:
    done = publish(NatsSink(server.url, CORE))

    start, *pieces, end = map(json.loads, listener.heard(done.subject))
    assert (start["type"], end["type"], end["complete"]) == ("start", "end", True)
    assert "".join(piece["text"] for piece in pieces) == done.text


def test_lost_connection_repeats_nothing(server: NatsServer, proxy: CuttingProxy, listener: Listener) -> None:
    def strike(number: int, subject: str) -> None:
        if number % 10 == 5:
            proxy.lose_reply()

    done = publish(NatsSink(proxy.url, CORE), pause=0.01, on_word=strike)

    heard = [json.loads(each) for each in listener.heard(done.subject)]
    offsets = [each["offset"] for each in heard if each["type"] == "text"]
    assert offsets == sorted(set(offsets))
    assert proxy.lost > 0


def test_what_may_have_been_published_is_not_published_again(
    server: NatsServer, proxy: CuttingProxy, listener: Listener
) -> None:
    stream, sink = new_stream(id="doubt", attempt=1), NatsSink(proxy.url, CORE)
    sink.connect()
    sink.open(stream)
    sink.write(Chunk(stream, 0, b"one "))
    proxy.lose_reply()
    with pytest.raises(Retryable):
        sink.write(Chunk(stream, 4, b"two "))

    assert sink.open(stream) is None
    sink.write(Chunk(stream, 8, b"three"))
    sink.disconnect()
    texts = [json.loads(each).get("text") for each in listener.heard("streamfan.doubt")]
    assert texts == [None, "one ", "two ", "three"]


def test_server_that_was_killed_is_published_to_again(mortal: NatsServer) -> None:
    def strike(number: int, subject: str) -> None:
        if number == 40:
            mortal.kill()
            mortal.start()
            late.append(Listener(mortal.url, "streamfan"))

    late: list[Listener] = []
    done = publish(NatsSink(mortal.url, CORE), pause=0.002, on_word=strike)

    *_, last = map(json.loads, late[0].heard(done.subject))
    late[0].close()
    assert last["type"] == "end"
    assert last["sha256"]


def test_answer_is_that_to_what_was_asked() -> None:
    """nats-py sends a PING before what was published before it, unless it is told to keep nothing in its buffer."""
    with ScriptedServer() as scripted:
        sink, stream = NatsSink(scripted.url, CORE), new_stream(id="a", attempt=1)
        sink.connect()
        sink.open(stream)
        scripted.operations.clear()
        for offset in range(3):
            sink.write(Chunk(stream, offset, b"x"))
        sink.disconnect()

    assert scripted.operations == ["PUB", "PING"] * 3


class ScriptedServer:
    """A server that takes one connection, and takes note of what it is asked to do and in which order."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._listener.getsockname()[1]}"
        self.operations: list[str] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        wait_until(lambda: not self._thread.is_alive())
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as lines:
            lines.write(b'INFO {"server_id":"x","version":"2.9.0","max_payload":1048576,"headers":true}\r\n')
            while line := lines.readline():
                operation = line.split()[0].decode()
                if operation in {"PUB", "PING"}:
                    self.operations.append(operation)
                if operation == "PING":
                    lines.write(b"PONG\r\n")
                if operation == "PUB":
                    lines.readline()
