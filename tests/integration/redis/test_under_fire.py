"""Whatever happens between a fan and its server, and to the server: the log holds the text once, without a gap."""

from __future__ import annotations

import hashlib
import logging
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import retry
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisSink, link
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import injects
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.report import SinkReport

SHORT = ("Füchs", "lein 狐😀")
"""A text short enough that it can be cut at one place after the other."""

LONG = [f"{number}: über 狐 und 😀\n" for number in range(300)]
DURABLE = ("appendonly yes", "appendfsync always")


@pytest.fixture
def proxy(any_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(any_server.port) as proxy:
        yield proxy


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Sinks try again at once, and say nothing of it: these tests have thousands of retries."""
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.001)
    caplog.set_level(logging.CRITICAL, logger="streamfan")


def publish(url: str, *texts: str) -> SinkReport:
    """A whole stream through a fan of its own, and what became of it."""
    with Fan() as fan:
        fan.add(RedisSink(url), lane=LaneOptions(linger=0.0, max_bytes=256))
        with fan.open("s") as stream:
            for text in texts:
                stream.write(text)
    return fan.report.sinks[0]


def assert_whole(client: Any, text: str) -> None:
    """The log holds a start, exactly this text, and its end."""
    assert text_of(client) == text
    (_, first), *_, (_, last) = log_of(client)
    assert (first["type"], last["type"], last["complete"]) == ("start", "end", True)
    assert last["offset"] == len(text.encode())
    assert last["sha256"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.guarantee("redis", "reset in the middle")
@pytest.mark.usefixtures("hasty")
def test_text_is_there_once_whichever_reply_is_lost(proxy: FaultProxy, any_server: RedisServer) -> None:
    for number in count():
        any_server.client.flushall()
        struck = proxy.struck
        proxy.lose_reply(after=number)
        publish(proxy.url, *SHORT)
        assert_whole(any_server.client, "".join(SHORT))
        if proxy.struck == struck:
            break

    assert number > 10


# Most of what goes to a server are scripts, each byte of which is like the next.
@pytest.mark.guarantee("redis", "reset in the middle")
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("any_server", "way", "step"),
    [
        ("scripts", "requests", 3),
        ("scripts", "replies", 1),
        ("no scripts", "requests", 3),
        ("no scripts", "replies", 1),
    ],
    indirect=["any_server"],
)
def test_text_is_there_once_wherever_the_connection_is_cut(
    proxy: FaultProxy, any_server: RedisServer, way: str, step: int
) -> None:
    for number in count(step=step):
        any_server.client.flushall()
        struck = proxy.struck
        proxy.cut_after(**{way: number})
        publish(proxy.url, *SHORT)
        assert_whole(any_server.client, "".join(SHORT))
        if proxy.struck == struck:
            break

    assert number > 400


def test_everything_may_come_in_trickles(proxy: FaultProxy, any_server: RedisServer) -> None:
    any_server.client.flushall()
    proxy.slow_down(0.0005, size=7)

    report = publish(proxy.url, *LONG[:20])

    assert report.retries == 0
    assert_whole(any_server.client, "".join(LONG[:20]))


@pytest.mark.guarantee("redis", "slow")
def test_text_is_there_once_although_answers_come_later_than_they_are_waited_for(
    proxy: FaultProxy, any_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_server.client.flushall()
    monkeypatch.setattr(link, "_TIMEOUT", 0.2)
    with Fan(RedisSink(proxy.url)) as fan, fan.open("s") as stream:
        for number, line in enumerate(LONG):
            stream.write(line)
            if number % 100 == 50:
                wait_until(lambda: text_of(any_server.client))
                proxy.slow_down(0.15)
                retries = fan.report.sinks[0].retries
                stream.write("too slow ")
                wait_until(lambda: fan.report.sinks[0].retries > retries)  # noqa: B023 - called at once
                proxy.slow_down()

    expected = "".join(f"{line}too slow " if number % 100 == 50 else line for number, line in enumerate(LONG))
    assert_whole(any_server.client, expected)


@pytest.mark.guarantee("redis", "killed")
@pytest.mark.parametrize("configuration", [DURABLE, ()], ids=["with its file", "empty"])
def test_server_that_was_killed_and_restarted_has_the_whole_text_once(configuration: tuple[str, ...]) -> None:
    with RedisServer(*configuration) as server:
        with Fan(RedisSink(server.url)) as fan, fan.open("s") as stream:
            for number, line in enumerate(LONG):
                stream.write(line)
                if number % 100 == 50:
                    wait_until(lambda: text_of(server.client).endswith(line))  # noqa: B023 - called at once
                    server.kill()
                    stream.write("killed ")
                    server.start()

        assert fan.report.sinks[0].retries > 0
        assert fan.report.sinks[0].complete == 1
        assert_whole(
            server.client,
            "".join(f"{line}killed " if number % 100 == 50 else line for number, line in enumerate(LONG)),
        )


@pytest.mark.guarantee("redis", "killed")
@pytest.mark.parametrize("before", ["is gone", "is a replica now"])
def test_server_that_takes_over_has_the_whole_text_once(before: str) -> None:
    with (
        RedisServer("repl-diskless-sync-delay 0") as master,
        RedisServer(f"replicaof 127.0.0.1 {master.port}", "repl-diskless-sync-delay 0") as replica,
        FaultProxy(master.port) as proxy,
    ):
        wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
        with Fan(RedisSink(proxy.url)) as fan, fan.open("s") as stream:
            for line in LONG[:150]:
                stream.write(line)
            wait_until(lambda: text_of(master.client) == "".join(LONG[:150]))
            replica.client.replicaof("no", "one")
            proxy.lead_to(replica.port)
            if before == "is gone":
                master.kill()
            else:
                # Connections to it stay, and it refuses whatever comes over them.
                injects(master.client.replicaof)("127.0.0.1", replica.port)
            for line in LONG[150:]:
                stream.write(line)

        assert fan.report.sinks[0].complete == 1
        assert_whole(replica.client, "".join(LONG))
