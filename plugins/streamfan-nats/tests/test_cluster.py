"""Three servers that have each event, of which any one may be lost."""

from __future__ import annotations

import asyncio

import nats
import pytest
from nats.js.errors import APIError

from streamfan import Retryable
from streamfan_nats import NatsOptions, NatsSink
from tests.support.publishing import EAGER, WORDS, publish, wait_until
from tests.support.reader import events, text
from tests.support.server import cluster


@pytest.mark.timeout(240)
def test_text_is_whole_after_the_leader_was_killed_in_the_middle() -> None:
    with cluster(3) as servers:
        url = ",".join(server.url for server in servers)
        sink = NatsSink(url, NatsOptions(replicas=3))
        wait_until(lambda: _is_ready(sink))
        killed: list[int] = []

        def strike(number: int, subject: str) -> None:
            if number == 40:
                wait_until(lambda: len(events(url, subject)) >= 10)
                killed.append(asyncio.run(_leader(url)))
                servers[killed[0]].kill()

        done = publish(sink, words=WORDS * 2, pause=0.005, lane=EAGER, on_word=strike)

        done.report.raise_for_failures()
        # Only now: a reader's place may be on any of them, and is waited for.
        servers[killed[0]].start()
        wait_until(lambda: _can_read(url, done.subject))
        assert text(url, done.subject) == done.text


def _is_ready(sink: NatsSink) -> bool:
    """Whether the servers have agreed on who leads, and made the stream."""
    try:
        sink.connect()
    except Retryable:
        return False
    return True


def _can_read(url: str, subject: str) -> bool:
    try:
        return bool(events(url, subject))
    except (nats.errors.TimeoutError, APIError):
        return False


async def _leader(url: str) -> int:
    async with await nats.connect(url.split(",")) as client:
        info = await client.jetstream().stream_info("STREAMFAN")
        assert info.cluster is not None
        assert info.cluster.leader is not None
        return int(info.cluster.leader.removeprefix("server"))
