"""A producer that lives is never taken for lost."""

from __future__ import annotations

import statistics
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.fan import Fan
from streamfan.report import State
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.fault_proxy import FaultProxy
from tests.support.followers import Follower
from tests.support.redis_sinks import text_of
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.stream import Stream
    from tests.support.redis_server import RedisServer

SILENCE = 10.0


def left(client: Any, stream: str) -> int:
    """Milliseconds that a stream's lease still holds; negative where there is none."""
    held: int = client.pttl(f"streamfan:{{{stream}}}:lease")
    return held


def wait_for_a_beat(client: Any, stream: str) -> int:
    """Returns just after the lease has been renewed, and says how short it was."""
    shortest = now = left(client, stream)
    while now <= shortest:
        assert now > 0, f"the lease of {stream!r} has run out"
        shortest = now
        time.sleep(0.02)
        now = left(client, stream)
    return shortest


# Real seconds: nothing else would show that the times of a beat, a try and a rest fit into the default lease.
@pytest.mark.timeout(120)
def test_no_lease_runs_out_while_the_server_says_nothing_for_ten_seconds(server: RedisServer) -> None:
    client = server.client
    with (
        FaultProxy(server.port) as proxy,
        Fan(RedisSink(proxy.url)) as fan,
        fan.open("quiet") as quiet,
        fan.open("talking") as talking,
    ):
        quiet.write("so ")
        wait_until(lambda: text_of(client, "quiet") == "so ")
        # The worst moment: just after a beat, so that the next one comes late in the silence.
        wait_for_a_beat(client, "quiet")
        proxy.stall()
        talking.write("somebody ")
        until = time.monotonic() + SILENCE
        wait_until(lambda: time.monotonic() > until or min(left(client, id) for id in ("quiet", "talking")) < 0)
        proxy.resume()
        shortest = wait_for_a_beat(client, "quiet")
        wait_for_a_beat(client, "talking")
        quiet.write("and on")
        talking.write("else")

    assert shortest < 10_000, "the server has heard something meanwhile"
    assert fan.report.sinks[0].complete == 2
    assert (text_of(client, "quiet"), text_of(client, "talking")) == ("so and on", "somebody else")


MANY = 300
DELAY = 0.002
"""Seconds that everything takes to the server, and as many back."""

LEASE = 5.0


def missing(client: Any, ids: Sequence[str]) -> set[str]:
    """Those of these streams that have no lease."""
    with client.pipeline(transaction=False) as pipeline:
        for id in ids:
            pipeline.exists(f"streamfan:{{{id}}}:lease")
        return {id for id, there in zip(ids, pipeline.execute(), strict=True) if not there}


def speak(stream: Stream, client: Any) -> float:
    """Write a text; says after how many seconds it was in the log."""
    log, begun = f"streamfan:{{{stream.id}}}:log", time.monotonic()
    before = client.xlen(log)
    stream.write("word ")
    wait_until(lambda: client.xlen(log) > before)
    return time.monotonic() - begun


# Real seconds again: whether the beats of three hundred streams fit into the shortest lease, and leave time for texts.
@pytest.mark.timeout(120)
def test_no_lease_of_many_streams_runs_out_where_round_trips_are_slow(server: RedisServer) -> None:
    client, ids = server.client, [f"s{number}" for number in range(MANY)]
    options = RedisOptions.model_validate({"lease": LEASE})
    listed: set[str] = set()
    lost, late = set[str](), list[float]()
    with FaultProxy(server.port) as proxy:
        with Fan(RedisSink(proxy.url, options)) as fan:
            wait_until(lambda: fan.report.sinks[0].state is State.OK)
            proxy.slow_down(DELAY)
            streams = [fan.open(id) for id in ids]
            readers = [Follower(server.url, id) for id in ids[::15]]
            until = time.monotonic() + 2 * LEASE
            for stream in cycle(streams):
                late.append(speak(stream, client))
                lost |= missing(client, ids) & listed
                listed |= set(client.zrange("streamfan:streams", 0, -1))
                if time.monotonic() > until:
                    break
            proxy.slow_down()
            for stream in streams:
                stream.end()
        texts = [reader.join() for reader in readers]

    assert not lost
    assert [error for reader in readers for error in reader.errors] == []
    assert set("".join(texts).split()) <= {"word"}
    assert statistics.median(late) < 0.5
    assert fan.report.sinks[0].complete == MANY
