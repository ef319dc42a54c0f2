"""A producer that lives is never taken for lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.fan import Fan
from streamfan.sinks.redis import RedisSink
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_sinks import text_of
from tests.support.sinks import wait_until

if TYPE_CHECKING:
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
