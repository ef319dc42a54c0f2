"""Exactly once, whatever happens to server and connection; read back by a program that knows nothing of streamfan."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING

import nats
import pytest
from nats.js.errors import NotFoundError

from streamfan import Chunk, Retryable
from streamfan.testing import new_stream
from streamfan_nats import NatsOptions, NatsSink, connection
from tests.support.publishing import publish, wait_until
from tests.support.reader import events, text

if TYPE_CHECKING:
    from tests.support.proxy import CuttingProxy
    from tests.support.server import NatsServer


def test_text_is_whole_after_the_server_was_killed_in_the_middle(mortal: NatsServer) -> None:
    def strike(number: int, subject: str) -> None:
        if number == 40:
            wait_until(lambda: _holds(mortal, subject, 10))
            mortal.kill()
        if number == 80:
            mortal.start()

    done = publish(NatsSink(mortal.url), pause=0.002, on_word=strike)

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text


def test_text_is_whole_whenever_the_server_is_killed(mortal: NatsServer) -> None:
    chance, waiting = random.Random(20261125), threading.Event()

    def strike() -> None:
        waiting.wait(chance.uniform(0.0, 0.4))
        mortal.kill()
        waiting.wait(chance.uniform(0.0, 0.3))
        mortal.start()

    retries = 0
    for _ in range(20):
        striking = threading.Thread(target=strike)
        striking.start()
        done = publish(NatsSink(mortal.url), pause=0.002)
        striking.join()

        done.report.raise_for_failures()
        assert text(mortal.url, done.subject) == done.text
        retries += done.report.sinks[0].retries
    assert retries > 0


@pytest.mark.parametrize("window", [120.0, 0.1])
def test_text_is_whole_whichever_acknowledgements_are_lost(
    proxy: CuttingProxy, mortal: NatsServer, window: float
) -> None:
    proxy.lead_to(mortal.port)
    chance = random.Random(7)

    def strike(number: int, subject: str) -> None:
        if number % 8 == 0:
            proxy.cut_after(chance.randrange(1, 400))

    done = publish(NatsSink(proxy.url, NatsOptions(duplicate_window=window)), pause=0.02, on_word=strike)

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text
    assert proxy.lost > 0


def test_late_message_is_refused(proxy: CuttingProxy, server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was given up, its text was sent again in other pieces, and then it arrives."""
    monkeypatch.setattr(connection, "_TIMEOUT", 0.3)
    stream = new_stream(id="late", attempt=1000)
    sink, again = NatsSink(proxy.url), NatsSink(server.url)
    sink.connect()
    sink.open(stream)
    proxy.hold_requests()
    with pytest.raises(Retryable, match="no answer"):
        sink.write(Chunk(stream, 0, b"Once "))

    again.connect()
    assert again.open(stream) == 0
    again.write(Chunk(stream, 0, b"Once upon a "))
    answered = proxy.replies
    proxy.release()
    wait_until(lambda: proxy.replies > answered)
    again.write(Chunk(stream, 12, b"time"))

    assert [event.get("text") for event in events(server.url, "streamfan.late")] == [None, "Once upon a ", "time"]
    sink.disconnect()
    again.disconnect()


def test_lost_connection_is_noticed_without_waiting(proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py itself leaves a request to its timeout."""
    monkeypatch.setattr(connection, "_TIMEOUT", 1000.0)
    stream = new_stream(id="cut", attempt=1000)
    sink = NatsSink(proxy.url)
    sink.connect()
    sink.open(stream)

    proxy.lose_reply()
    with pytest.raises(Retryable):
        sink.write(Chunk(stream, 0, b"Once"))

    assert sink.open(stream) == 4
    sink.disconnect()


def test_frozen_server_is_waited_for(mortal: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", 0.3)
    monkeypatch.setattr(connection, "_CONNECT_TIMEOUT", 0.3)

    def strike(number: int, subject: str) -> None:
        if number == 40:
            wait_until(lambda: _holds(mortal, subject, 10))
            mortal.freeze()
        if number == 110:
            mortal.thaw()

    done = publish(NatsSink(mortal.url), pause=0.01, on_word=strike)

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text


def test_server_that_has_lost_its_disk_is_given_all_again(mortal: NatsServer) -> None:
    def strike(number: int, subject: str) -> None:
        if number == 60:
            wait_until(lambda: _holds(mortal, subject, 10))
            mortal.kill()
            mortal.forget()
            mortal.start()

    done = publish(NatsSink(mortal.url), pause=0.002, on_word=strike)

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text


@pytest.mark.parametrize("gone", ["messages", "stream"])
def test_what_somebody_deletes_is_written_again(mortal: NatsServer, gone: str) -> None:
    """Also within the time for which the server remembers the ids of what was deleted."""

    def strike(number: int, subject: str) -> None:
        if number == 60:
            wait_until(lambda: _holds(mortal, subject, 10))
            asyncio.run(_delete(mortal.url, gone))

    done = publish(NatsSink(mortal.url), pause=0.002, on_word=strike)

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text


async def _delete(url: str, gone: str) -> None:
    async with await nats.connect(url) as client:
        jetstream = client.jetstream()
        if gone == "messages":
            await jetstream.purge_stream("STREAMFAN")
        else:
            await jetstream.delete_stream("STREAMFAN")


def _holds(server: NatsServer, subject: str, count: int) -> bool:
    try:
        return len(events(server.url, subject)) >= count
    except NotFoundError:
        # No stream of JetStream's yet.
        return False
