"""What can happen to a Redis server while a stream goes there, beside what `../redis` has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisSink
from tests.support.faults import injects
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import MemorySink, wait_until

if TYPE_CHECKING:
    from tests.support.command import Shell
    from tests.support.wall_clock import WallClock


@pytest.mark.guarantee("redis", "hung")
def test_server_that_hangs_and_goes_on_has_the_text_once() -> None:
    with RedisServer() as server:
        with Fan(RedisSink(f"{server.url}?socket_timeout=0.3")) as fan, fan.open("s") as stream:
            stream.write("before ")
            wait_until(lambda: text_of(server.client) == "before ")
            server.freeze()
            stream.write("meanwhile ")
            wait_until(lambda: fan.report.sinks[0].retries)
            server.thaw()
            stream.write("after")

        assert (fan.report.sinks[0].complete, text_of(server.client)) == (1, "before meanwhile after")


@pytest.mark.guarantee("redis", "raising")
def test_server_that_refuses_a_command_fails_that_sink_alone_and_what_it_lacks_is_told() -> None:
    healthy = MemorySink()
    with RedisServer() as server:
        server.client.acl_setuser("writer", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["*"])
        refuse = injects(server.client.acl_setuser)
        with Fan(healthy, RedisSink(server.url.replace("//", "//writer:x@"))) as fan, fan.open("s") as stream:
            stream.write("before ")
            wait_until(lambda: text_of(server.client) == "before ")
            refuse("writer", enabled=True, nopass=True, commands=["-xadd"], keys=["*"], channels=["*"])
            stream.write("after")

        report = fan.report.sinks[1]
        assert (report.failed, report.missing) == (True, 5)
        assert "Redis at redis://***@127.0.0.1:" in str(report)
        assert (healthy.text(), text_of(server.client)) == ("before after", "before ")


@pytest.mark.guarantee("redis", "refused")
def test_server_that_is_not_there_costs_no_generation(shell: Shell) -> None:
    with RedisServer() as server:
        server.kill()

        done = shell.stdin("text", "-s", server.url, "-o", "redis.lane.connect_timeout=3")

    assert (done.code, done.stdout) == (4, b"")
    assert f"127.0.0.1:{server.port}" in done.stderr.splitlines()[-1]


@pytest.mark.guarantee("redis", "refused")
def test_server_that_comes_while_it_is_waited_for_has_the_whole_text() -> None:
    with RedisServer() as server:
        server.kill()
        with Fan() as fan:
            fan.add(RedisSink(server.url), lane=LaneOptions(connect_timeout=60))
            with fan.open("s") as stream:
                stream.write("text")
                wait_until(lambda: fan.report.sinks[0].trouble)
                server.start()

        assert (fan.report.sinks[0].complete, text_of(server.client)) == (1, "text")


@pytest.mark.guarantee("redis", "clock jump")
def test_later_attempt_stays_the_later_one_where_the_clock_was_set_back(
    server: RedisServer, wall_clock: WallClock
) -> None:
    with Fan(RedisSink(server.url)) as fan:
        with fan.open("s") as first:
            first.write("first")
        wait_until(lambda: fan.report.finished)
        wall_clock.jump(hours=-1)
        with fan.open("s") as second:
            second.write("second")

    start, text, _ = [event for _, event in log_of(server.client) if event["attempt"] == second.info.attempt]
    assert fan.report.sinks[0].complete == 2
    assert second.info.attempt > first.info.attempt
    assert (start["time"] < first.info.time.isoformat(), text["text"]) == (True, "second")
