"""The thread that reads for all: whom it serves, what it says when the server is away; the server is scripted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.subscriber import ears, hub
from streamfan.subscriber.hub import Hub
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Phase, Reader
from tests.support.scripted_redis import HERE, ScriptedRedis
from tests.support.sinks import wait_until
from tests.support.wire_events import STREAM, start, taken

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> ScriptedRedis:
    """The server that hubs read from."""
    made = ScriptedRedis()
    monkeypatch.setattr(hub, "Servers", made.servers)
    monkeypatch.setattr(ears, "Doorbell", made.doorbell)
    monkeypatch.setattr(hub, "_IDLE", 0.05)
    return made


@pytest.fixture
def made(redis: ScriptedRedis) -> Iterator[Hub]:
    """A hub, whose thread ends with the test."""
    over: list[None] = []
    made = Hub(HERE, "streamfan", lambda _: bool(over))
    yield made
    over.append(None)
    redis.babble = False
    made._thread.join(20)
    assert not made._thread.is_alive()


def reading(made: Hub, stream: str = STREAM, *, patience: float = 0.0) -> Reader:
    reader = Reader(stream, 0, Mailbox(lambda: None))
    made.read(reader, patience)
    return reader


def test_a_channel_that_never_stops_keeps_nobody_from_joining(redis: ScriptedRedis, made: Hub) -> None:
    redis.logs = {STREAM: [start()], "other": [start()]}
    first = reading(made)
    wait_until(lambda: taken(first))

    redis.babble = True
    second = reading(made, "other")
    wait_until(lambda: taken(second))
    made.leave(second)
    made.leave(first)

    wait_until(lambda: first.phase is second.phase is Phase.OVER)


def test_a_silent_server_has_no_longer_than_a_producer_gives_it(redis: ScriptedRedis, made: Hub) -> None:
    redis.logs = {STREAM: [start()]}
    reader = reading(made)
    wait_until(lambda: taken(reader))

    made.leave(reader)

    assert redis.timeouts == {"commands": 2.0, "doorbell": 2.0}
