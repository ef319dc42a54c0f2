"""Whatever happens between a subscriber and its server: the whole text once, in order, or an error says why not."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import retry
from streamfan.errors import HistoryTrimmed, ProducerLost, UsageError
from streamfan.events import Text, encode, now
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.subscriber import asubscribe, subscribe
from streamfan.subscriber import mailbox as mailboxes
from tests.support import crowd
from tests.support.fault_proxy import FaultProxy
from tests.support.followers import KINDS, Follower, Kind
from tests.support.redis_server import PATIENCE, RedisServer
from tests.support.redis_sinks import text_of
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streamfan.stream import Stream

LINES = [f"{number}: über 狐 und 😀\n" for number in range(200)]
LEASE = 5.0
"""The shortest that there is."""

PRODUCER = f"""
import sys, threading
from streamfan.fan import Fan
from streamfan.sinks.redis import RedisOptions, RedisSink

with Fan(RedisSink(sys.argv[1], RedisOptions(lease={LEASE}))) as fan, fan.open("s") as stream:
    for number in range(100):
        stream.write(f"{{number}} 狐 ")
    stream.write("and")
    threading.Event().wait()
"""
"""A program that writes, and then thinks for ever."""


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost a connection tries again at once: these tests have hundreds of retries."""
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.001)


def fan_for(url: str, **options: Any) -> Fan:
    """A fan whose text is in Redis as soon as can be."""
    fan = Fan()
    fan.add(RedisSink(url, RedisOptions.model_validate(options)), lane=LaneOptions(linger=0.0))
    return fan


def listeners(server: RedisServer, stream: str = "s") -> int:
    """How many connections hear a stream's channel."""
    ((_, count),) = server.client.pubsub_numsub(f"streamfan:{{{stream}}}:live")
    return int(count)


def write_slowly(stream: Stream, follower: Follower, *lines: str) -> None:
    """Write each line when the one before it has been read."""
    for line in lines:
        stream.write(line)
        follower.wait_for(line)


# Faults on the way


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_may_be_lost(server: RedisServer, proxy: FaultProxy, kind: Kind) -> None:
    with fan_for(server.url) as fan, fan.open("s") as stream:
        stream.write("Once ")
        with Follower(proxy.url, kind=kind) as follower:
            follower.wait_for("Once ")
            for number in range(16):
                struck = proxy.struck
                proxy.cut()
                proxy.lose_reply(after=number)
                wait_until(lambda: proxy.struck > struck or listeners(server))  # noqa: B023 - called at once
                write_slowly(stream, follower, f"upon {number} ")
            stream.end()

            assert follower.join() == text_of(server.client)
    assert not follower.errors


# There are many replies, and what is in them is mostly the same.
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("way", "step"), [("requests", 1), ("replies", 3)])
def test_the_connection_may_be_cut_anywhere(server: RedisServer, proxy: FaultProxy, way: str, step: int) -> None:
    with fan_for(server.url) as fan, fan.open("s") as stream:
        stream.write(LINES[0])
    whole = text_of(server.client)

    number, struck = 0, -1
    while proxy.struck > struck:
        struck = proxy.struck
        proxy.cut_after(**{way: number})
        with subscribe(proxy.url, "s", wait=PATIENCE) as subscription:
            assert "".join(subscription) == whole
        # The next one is to make its own connections.
        proxy.cut()
        number += step

    assert number > 300


def test_everything_may_come_in_trickles(server: RedisServer, proxy: FaultProxy) -> None:
    proxy.slow_down(0.0005, size=7)
    with fan_for(server.url) as fan, fan.open("s") as stream, Follower(proxy.url) as follower:
        write_slowly(stream, follower, *LINES[:5])
        stream.end()

        assert follower.join() == "".join(LINES[:5])


# Real seconds: nothing else would show that the times of a beat, a look and a try fit together.
@pytest.mark.timeout(120)
def test_ten_seconds_of_silence_raise_nothing(server: RedisServer) -> None:
    with (
        FaultProxy(server.port) as before,
        FaultProxy(server.port) as behind,
        fan_for(before.url) as fan,
        fan.open("s") as stream,
    ):
        stream.write("Once ")
        followers = [Follower(url, kind=kind) for url in (server.url, behind.url) for kind in KINDS]
        for follower in followers:
            follower.wait_for("Once ")

        before.stall(10)
        behind.stall(10)
        stream.write("upon ")
        for follower in followers:
            follower.wait_for("upon ")
        stream.write("a time")
        stream.end()

        assert [follower.join() for follower in followers] == ["Once upon a time"] * 4
    assert not any(follower.errors for follower in followers)


@pytest.mark.parametrize(
    "configuration", [("appendonly yes", "appendfsync always"), ()], ids=["with its file", "empty"]
)
def test_the_server_may_be_killed_and_restarted(configuration: tuple[str, ...]) -> None:
    with RedisServer(*configuration) as server, fan_for(server.url) as fan, fan.open("s") as stream:
        stream.write(LINES[0])
        followers = [Follower(server.url, kind=kind) for kind in KINDS]
        for part in range(1, 100, 33):
            for follower in followers:
                follower.wait_for(LINES[part - 1])
            server.kill()
            stream.write("killed ")
            server.start()
            for line in LINES[part : part + 33]:
                stream.write(line)
        stream.end()

        texts = [follower.join() for follower in followers]
        whole = text_of(server.client)
    assert texts == [whole] * 2
    assert whole.count("killed ") == 3


def test_a_hole_in_what_the_channel_says_is_looked_up_in_the_log(server: RedisServer) -> None:
    with fan_for(server.url) as fan, fan.open("s") as stream, Follower(server.url) as follower:
        write_slowly(stream, follower, "Once ")
        ahead = Text(stream="s", attempt=stream.info.attempt, offset=100, end=104, text="ever", time=now())
        server.client.publish("streamfan:{s}:live", encode(ahead))
        write_slowly(stream, follower, "upon ")
        stream.end()

        assert follower.join() == "Once upon "
    assert not follower.errors


# Producers that are lost


@pytest.mark.timeout(120)
def test_a_killed_producer_is_missed_when_its_lease_is_over(server: RedisServer) -> None:
    with subprocess.Popen([sys.executable, "-c", PRODUCER, server.url]) as producer:
        try:
            followers = [Follower(server.url, kind=kind) for kind in KINDS]
            for follower in followers:
                follower.wait_for("and")
        finally:
            producer.kill()
    killed = time.monotonic()

    texts = [follower.join() for follower in followers]

    assert time.monotonic() - killed < LEASE + 2
    assert texts == [text_of(server.client)] * 2
    for follower in followers:
        assert [type(error) for error in follower.errors] == [ProducerLost]


def test_a_server_that_was_away_for_longer_than_a_lease_leaves_its_producer_time(server: RedisServer) -> None:
    with FaultProxy(server.port) as before, fan_for(before.url, lease=LEASE) as fan, fan.open("s") as stream:
        stream.write("Once ")
        followers = [Follower(server.url, kind=kind) for kind in KINDS]
        for follower in followers:
            follower.wait_for("Once ")

        # Readers are back before the producer is, and find no lease.
        before.stall(LEASE + 2)
        server.freeze()
        away = threading.Timer(LEASE + 1, server.thaw)
        away.start()
        away.join()
        wait_until(lambda: listeners(server))
        leaseless = not server.client.exists("streamfan:{s}:lease")
        stream.write("upon ")
        stream.end()

        texts = [follower.join() for follower in followers]
    assert leaseless
    assert [follower.errors for follower in followers] == [[], []]
    assert texts == ["Once upon "] * 2


# Many, and slow ones


@pytest.mark.timeout(120)
def test_five_hundred_join_at_any_moment_and_have_every_byte(server: RedisServer) -> None:
    processes, spread = 8, 3.0
    with fan_for(server.url) as fan, fan.open("s") as stream:
        stream.write("first ")
        arguments = [
            [sys.executable, str(Path(crowd.__file__)), server.url, "s", str(count), str(spread), str(seed)]
            for seed, count in enumerate([63] * 4 + [62] * 4)
        ]
        crowds = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in arguments]
        joined = threading.Event()
        waiting = threading.Thread(target=wait_for_all, args=[crowds, joined])
        waiting.start()
        number = 0
        while not joined.wait(0.002):
            stream.write(f"{number} 狐 ")
            number += 1
        waiting.join()
    texts = [text for each in crowds for text in json.loads(each.communicate(timeout=PATIENCE)[0])]

    whole = text_of(server.client)
    assert len(texts) == 500
    assert len(crowds) == processes
    assert set(texts) == {hashlib.sha256(whole.encode()).hexdigest()}


def wait_for_all(crowds: Sequence[subprocess.Popen[str]], joined: threading.Event) -> None:
    for each in crowds:
        assert each.stdout is not None
        each.stdout.readline()
    joined.set()


@pytest.mark.parametrize(("history", "trimmed"), [(100_000, False), (100, True)])
def test_a_reader_that_the_server_cuts_off_for_being_slow_misses_nothing_unsaid(history: int, trimmed: bool) -> None:
    with (
        RedisServer("client-output-buffer-limit pubsub 1mb 1mb 1", "stream-node-max-entries 10") as server,
        FaultProxy(server.port) as proxy,
        fan_for(server.url, history=history) as fan,
        fan.open("s") as stream,
        Follower(proxy.url, resuming=(HistoryTrimmed,)) as follower,
    ):

        def heard() -> set[str]:
            return {client["id"] for client in server.client.client_list(_type="pubsub")}

        whole = "first "
        stream.write(whole)
        follower.wait_for(whole)
        (doorbell,) = heard()
        proxy.slow_down(0.02, size=1024)
        after = 0
        for number in range(5000):
            whole += (piece := f"{number} " + "狐" * 5000)
            stream.write(piece)
            wait_until(lambda: fan.report.sinks[0].lag < 1)
            after += doorbell not in heard()
            if after == 300:
                break
        assert after == 300, "the server has not cut it off"
        stream.end()
        wait_until(lambda: fan.report.sinks[0].complete)
        proxy.slow_down()

        text = follower.join()

    assert bool(follower.errors) is trimmed
    assert text == without_holes(whole, follower.errors)


def without_holes(text: str, errors: Sequence[Exception]) -> str:
    """What is left of `text` where these are the holes that a reader was told of."""
    data = text.encode()
    for error in reversed(errors):
        assert isinstance(error, HistoryTrimmed)
        data = data[: error.offset] + data[error.end :]
    return data.decode()


def test_a_consumer_that_does_not_read_costs_no_memory_and_misses_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "_ROOM", 10_000)
    piece = "word " * 200
    with fan_for(server.url) as fan, fan.open("s") as stream, subscribe(server.url, "s", wait=PATIENCE) as slow:
        stream.write("first ")
        got = next(slow)
        with Follower(server.url) as quick:
            for number in range(200):
                write_slowly(stream, quick, f"{piece} {number}\n")
        held = slow._reading._mailbox._held  # type: ignore[union-attr]
        stream.end()
        got += "".join(slow)

        assert got == text_of(server.client)
    assert 10_000 < held < 10_000 + 2 * (len(piece) + 200)


def test_a_full_mailbox_is_not_filled_further_from_the_log(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "_ROOM", 10_000)
    piece = "word " * 200
    with Fan() as fan:
        fan.add(RedisSink(server.url), lane=LaneOptions(linger=0.0, max_bytes=1000))
        with fan.open("s") as stream:
            stream.write(piece * 300)

    with subscribe(server.url, "s") as slow:
        got = next(slow)
        mailbox = slow._reading._mailbox  # type: ignore[union-attr]
        wait_until(lambda: mailbox.full)
        held = mailbox._held
        got += "".join(slow)

    assert got == piece * 300
    assert held < 10_000 + 2 * (len(piece) + 200)


def test_many_subscriptions_use_one_thread_and_two_connections() -> None:
    with RedisServer() as server, fan_for(server.url) as fan:
        streams = [fan.open(f"s{number}") for number in range(10)]
        for stream in streams:
            stream.write("Hello")
        wait_until(lambda: all(text_of(server.client, stream.info.id) for stream in streams))
        before, threads_before = len(server.client.client_list()), reading_threads()
        followers = [Follower(server.url, stream.info.id, kind) for stream in streams for kind in KINDS]
        for follower in followers:
            follower.wait_for("Hello")

        after = len(server.client.client_list())
        threads = len(reading_threads() - threads_before)
        for stream in streams:
            stream.end()

        assert [follower.join() for follower in followers] == ["Hello"] * 20
    assert after - before == 2
    assert threads == 1


def reading_threads() -> set[threading.Thread]:
    """The threads that read; those of tests before may still be there."""
    return {thread for thread in threading.enumerate() if thread.name == "streamfan-subscriber"}


# Leaving


@pytest.fixture
def waiting(server: RedisServer) -> Iterator[Stream]:
    """A stream with a text, whose producer is silent."""
    with fan_for(server.url) as fan, fan.open("s") as stream:
        stream.write("Hello")
        wait_until(lambda: text_of(server.client))
        yield stream


@pytest.mark.usefixtures("waiting")
def test_a_subscription_that_nobody_holds_is_left(server: RedisServer) -> None:
    subscription = subscribe(server.url, "s")
    assert next(subscription) == "Hello"
    assert listeners(server) == 1

    del subscription
    gc.collect()

    wait_until(lambda: not listeners(server))


@pytest.mark.usefixtures("waiting")
async def test_break_leaves(server: RedisServer) -> None:
    for _ in subscribe(server.url, "s"):
        break
    wait_until(lambda: not listeners(server))
    async for _ in asubscribe(server.url, "s"):
        assert listeners(server) == 1
        break

    gc.collect()
    wait_until(lambda: not listeners(server))


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_waits_is_woken_when_it_is_closed(server: RedisServer, kind: Kind) -> None:
    follower = Follower(server.url, kind=kind)
    follower.wait_for("Hello")

    follower.close()

    assert follower.join() == "Hello"
    assert not follower.errors
    wait_until(lambda: not listeners(server))


@pytest.mark.usefixtures("waiting", "heeding_interrupts")
def test_ctrl_c_ends_the_wait_and_nothing_else(server: RedisServer, waiting: Stream) -> None:
    with subscribe(server.url, "s") as subscription:
        assert next(subscription) == "Hello"
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            next(subscription)

        waiting.write(" again")

        assert next(subscription) == " again"


def test_a_closed_event_loop_takes_nothing_with_it(server: RedisServer, waiting: Stream) -> None:
    abandoned = asubscribe(server.url, "s")
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(anext(abandoned)) == "Hello"
    task = loop.create_task(abandoned.__anext__())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    with Follower(server.url) as follower:
        write_slowly(waiting, follower, " there", " again")
        waiting.end()

        assert follower.join() == "Hello there again"
    # Where one loop has gone, another goes on.
    assert asyncio.run(_rest_of(abandoned)) == " there again"
    # Its coroutine cannot be ended any more, and says so.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    task.get_coro().close()


async def _rest_of(subscription: Any) -> str:
    return "".join([text async for text in subscription])


@pytest.mark.usefixtures("waiting")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_subscribes_anew_and_disturbs_nobody(server: RedisServer, waiting: Stream) -> None:
    subscription = subscribe(server.url, "s")
    assert next(subscription) == "Hello"

    child = os.fork()
    if child == 0:
        # Whatever happens here, this must not go on as a second run of the tests.
        try:
            with pytest.raises(UsageError, match="after the fork"):
                next(subscription)
            subscription.close()
            os._exit(0 if next(subscribe(server.url, "s")) == "Hello" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    waiting.end()

    assert "".join(subscription) == ""
