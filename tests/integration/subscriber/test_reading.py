"""Reading where something is unusual: offsets, holes, other attempts, lost producers, channels that lie."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import subprocess
import sys
import threading
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import asubscribe, subscribe
from streamfan.errors import (
    HistoryTrimmed,
    ProducerLost,
    Restarted,
    StreamNotFound,
    TextAltered,
    UsageError,
    WireError,
)
from streamfan.events import Cancellation, End, Gap, Text, encode
from tests.support.command import read_until
from tests.support.producer import Background, wait_for_listeners
from tests.support.redis_server import commands
from tests.support.sinks import wait_until
from tests.support.wire_events import end, start, text

if TYPE_CHECKING:
    from streamfan import AsyncSubscription, Subscription
    from tests.support.producer import Produce
    from tests.support.redis_server import RedisServer

TALE = "Once upon a tïme ☕ "


def read_all(subscription: Subscription[str]) -> str:
    return "".join(subscription)


# Offsets


@pytest.mark.parametrize("offset", [0, 1, 5, 8, 20])
def test_from_an_offset_the_rest_is_read(offset: int, server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ", "upon ", "a ", "tale.")
    subscription = subscribe(server.url, "s", offset=offset)
    reading = Background(lambda: read_all(subscription))

    producer.write(" The", " end")
    producer.end()

    assert reading.result() == "Once upon a tale. The end"[offset:]
    assert subscription.offset == 25


def test_whoever_left_goes_on_from_the_offset_that_was_reached(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write(TALE)
    with subscribe(server.url, "s") as first:
        read = next(first)

    producer.write("the end")
    producer.end()

    assert read == TALE
    assert read_all(subscribe(server.url, "s", offset=first.offset, attempt=first.attempt)) == "the end"


def test_whoever_goes_on_after_another_attempt_has_begun_is_told(server: RedisServer, produce: Produce) -> None:
    produce(server.url, attempt=7).write("Once upon")
    with subscribe(server.url, "s") as first:
        next(first)
    produce(server.url, attempt=8).write("It was a dark night")
    second = subscribe(server.url, "s", offset=first.offset, attempt=first.attempt)

    with pytest.raises(Restarted) as caught:
        next(second)

    assert (caught.value.attempt, caught.value.newer) == (7, 8)
    assert next(second) == "It was a dark night"
    assert (second.attempt, second.offset) == (8, 19)


def test_an_attempt_is_waited_for_and_may_not_come(server: RedisServer, produce: Produce) -> None:
    produce(server.url, attempt=7).write("Once upon")
    reading = Background(lambda: next(subscribe(server.url, "s", attempt=8, wait=20)))

    with pytest.raises(StreamNotFound, match="there is no attempt 8 at stream 's'"):
        next(subscribe(server.url, "s", attempt=8))
    produce(server.url, attempt=8).write("It was")

    assert reading.result() == "It was"


def test_an_offset_inside_a_character_is_an_error(server: RedisServer, produce: Produce) -> None:
    produce(server.url).write("é")

    with pytest.raises(WireError, match="byte 1 is inside a character"):
        next(subscribe(server.url, "s", offset=1))


def test_an_offset_after_the_end_is_of_another_text(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Hello")
    producer.end()

    with pytest.raises(TextAltered, match="has ended after 5 bytes, so byte 90 is of another text"):
        next(subscribe(server.url, "s", offset=90))


@pytest.mark.parametrize(
    ("stream", "how", "said"),
    [
        ("s", {"offset": -1}, "offset -1 is none"),
        ("s", {"attempt": -1}, "attempt -1 is none"),
        ("s", {"offset": 2**53}, "offset 9007199254740992 is none"),
        (None, {"offset": 5}, "an offset belongs to one stream"),
        (None, {"attempt": 5}, "an attempt belongs to one stream"),
        ("../s", {}, r"stream id '../s' is malformed"),
        ("", {}, r"stream id '' is malformed"),
        ("s", {"wait": -1}, "wait is -1, expected seconds"),
        ("s", {"wait": float("nan")}, "wait is nan, expected seconds"),
        ("s", {"prefix": ""}, "prefix '' is malformed"),
        ("s", {"prefix": "a{b}"}, r"prefix 'a\{b\}' is malformed"),
    ],
)
def test_what_cannot_be_read_is_refused_at_the_call(stream: str | None, how: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        subscribe("redis://localhost", stream, **how)


# Much text, many readers


def test_a_text_of_many_pages_is_read_whole_with_its_sha256(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write(*(f"{number} é\n" for number in range(1000)))
    made = producer.end()

    read = read_all(subscribe(server.url, "s"))

    assert hashlib.sha256(read.encode()).hexdigest() == made.sha256
    assert read == producer.text


def test_a_reader_that_takes_nothing_for_long_reads_all_in_the_end(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    subscription = subscribe(server.url, "s")
    producer.write("first")
    pieces = [next(subscription)]

    producer.write(*("x" * 65_536 for _ in range(64)))
    producer.end()

    assert "".join([*pieces, read_all(subscription)]) == producer.text


def test_readers_of_one_process_share_two_connections(server: RedisServer, produce: Produce) -> None:
    producers = [produce(server.url, f"s{number}") for number in range(5)]
    before = {client["id"] for client in server.client.client_list()}
    subscriptions = [subscribe(server.url, f"s{number % 5}") for number in range(50)]

    for producer in producers:
        producer.write("Hello")
    read = {next(subscription) for subscription in subscriptions}
    connections = [client for client in server.client.client_list() if client["id"] not in before]
    for producer in producers:
        producer.end()

    assert read == {"Hello"}
    assert len(connections) <= 2
    assert {read_all(subscription) for subscription in subscriptions} == {""}


# Leaving


def test_leaving_changes_nothing_for_the_others(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    stays, leaves = subscribe(server.url, "s"), subscribe(server.url, "s")
    read = [next(stays), next(leaves)]

    leaves.close()
    producer.write("upon")
    producer.end()

    assert read == ["Once ", "Once "]
    assert read_all(stays) == "upon"
    assert list(leaves) == []


def test_the_channel_of_a_stream_that_nobody_reads_is_left(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    for each in (producer, other := produce(server.url, "other")):
        each.write("Once ")
    closed, forgotten, stays = (subscribe(server.url, name) for name in ("s", "s", "other"))
    read = [next(closed), next(forgotten), next(stays)]

    closed.close()
    del forgotten
    gc.collect()
    wait_until(lambda: server.client.pubsub_numsub(producer.names.live)[0][1] == 0)

    assert read == ["Once "] * 3
    assert server.client.pubsub_numsub(other.names.live)[0][1] == 1
    stays.close()


def test_whoever_waits_comes_to_the_end_when_another_thread_closes(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    subscription = subscribe(server.url, "s")
    read = next(subscription)
    waiting = Background(lambda: list(subscription))

    subscription.close()

    assert (read, waiting.result()) == ("Once ", [])


async def test_a_task_that_waits_comes_to_the_end_when_another_closes(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    subscription = asubscribe(server.url, "s")
    read = await anext(subscription)
    waiting = asyncio.create_task(_rest(subscription))
    await asyncio.sleep(0)

    await subscription.aclose()

    assert (read, await asyncio.wait_for(waiting, 20)) == ("Once ", "")


def test_a_fork_leaves_the_subscriptions_to_the_parent(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    code = """
        import os, sys
        from streamfan import UsageError, subscribe
        subscription = subscribe(sys.argv[1], "s")
        print(next(subscription), flush=True)
        if os.fork() == 0:
            try:
                next(subscription)
            except UsageError as error:
                print(error, flush=True)
            print(next(subscribe(sys.argv[1], "s")), flush=True)
            os._exit(0)
        os.wait()
        print("parent", flush=True)
        for text in subscription:
            print(text, flush=True)
    """

    with subprocess.Popen([sys.executable, "-c", dedent(code), server.url], stdout=subprocess.PIPE) as process:
        said = read_until(process.stdout, b"parent\n")
        producer.write("upon")
        producer.end()
        rest, _ = process.communicate(timeout=30)

    assert said.splitlines() == [
        b"Once ",
        b"this subscription belongs to the parent process",
        b"Try: subscribe after the fork",
        b"Once ",
        b"parent",
    ]
    assert (process.returncode, rest) == (0, b"upon\n")


def test_an_open_subscription_does_not_keep_the_interpreter_alive(server: RedisServer, produce: Produce) -> None:
    produce(server.url).write("Once ")
    code = "import sys, streamfan; s = streamfan.subscribe(sys.argv[1], 's'); print(next(s))"

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, server.url], capture_output=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"Once \n", b"")


def test_when_nobody_reads_the_thread_and_its_connections_end(produce: Produce, server: RedisServer) -> None:
    # A prefix is read by a thread of its own.
    producer = produce(server.url, prefix="lonely")
    producer.write("Hello")
    threads = set(threading.enumerate())
    with subscribe(server.url, "s", prefix="lonely") as subscription:
        next(subscription)
        (thread,) = set(threading.enumerate()) - threads

    thread.join(20)

    assert not thread.is_alive()
    assert server.client.pubsub_numsub(producer.names.live)[0][1] == 0
    assert next(subscribe(server.url, "s", prefix="lonely")) == "Hello"


# Ends


def test_a_stream_that_was_cancelled_ends_and_says_by_whom(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    producer.end(finish_reason="cancelled", cancel=Cancellation("seen enough", "ann"))
    subscription = subscribe(server.url, "s")

    read = read_all(subscription)

    assert read == "Once "
    assert subscription.outcome is not None
    assert subscription.outcome.finish_reason == "cancelled"
    assert subscription.outcome.cancel == Cancellation("seen enough", "ann")


def test_an_error_of_the_producer_is_an_event_among_events(server: RedisServer, produce: Produce) -> None:
    produce(server.url).end(finish_reason="error")

    *_, last = subscribe(server.url, "s", events=True)

    assert isinstance(last, End)
    assert last.finish_reason == "error"


def test_a_text_that_is_not_the_producers_is_told(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Hello")
    producer.end(sha256="0" * 64)
    subscription = subscribe(server.url, "s")

    read = next(subscription)
    with pytest.raises(TextAltered):
        next(subscription)

    assert read == "Hello"


def test_a_producer_that_is_lost_is_told_and_may_come_back(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    producer.show_life(0.3)
    subscription = subscribe(server.url, "s")

    read = next(subscription)
    with pytest.raises(ProducerLost) as caught:
        next(subscription)
    producer.show_life(20)
    producer.write("upon")
    producer.end()

    assert read == "Once "
    assert (caught.value.offset, caught.value.lease) == (5, 0.3)
    assert read_all(subscription) == "upon"


def test_a_stream_that_vanishes_is_told(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    producer.show_life(0.3)
    subscription = subscribe(server.url, "s")

    read = next(subscription)
    server.client.delete(producer.names.log)
    with pytest.raises(StreamNotFound, match="has vanished after 5 bytes"):
        next(subscription)

    assert read == "Once "


def test_waiting_for_a_stream_has_its_time(server: RedisServer) -> None:
    waited = threading.Event()
    threading.Timer(0.3, waited.set).start()

    with pytest.raises(StreamNotFound):
        next(subscribe(server.url, "missing", wait=0.4))

    assert waited.is_set()


# Holes and other attempts


def test_a_hole_in_the_history_is_told_and_reading_goes_on_after_it(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ", "upon ", "a ", "time")
    server.client.xtrim(producer.names.log, maxlen=2, approximate=False)
    subscription = subscribe(server.url, "s")

    with pytest.raises(HistoryTrimmed) as caught:
        next(subscription)
    reached = subscription.offset
    producer.end()

    assert (caught.value.offset, caught.value.end, reached) == (0, 10, 10)
    assert read_all(subscription) == "a time"


def test_a_hole_before_the_end_is_told_and_the_end_comes_after_it(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ", "upon")
    producer.end()
    server.client.xtrim(producer.names.log, maxlen=1, approximate=False)
    subscription = subscribe(server.url, "s")

    with pytest.raises(HistoryTrimmed) as caught:
        next(subscription)

    assert (caught.value.offset, caught.value.end) == (0, 9)
    assert read_all(subscription) == ""
    assert subscription.outcome is not None


def test_who_needs_nothing_of_what_was_trimmed_is_told_of_no_hole(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ", "upon ", "a ", "time")
    producer.end()
    server.client.xtrim(producer.names.log, maxlen=3, approximate=False)

    assert read_all(subscribe(server.url, "s", offset=10)) == "a time"


def test_a_later_attempt_is_told_and_reading_goes_on_at_its_start(server: RedisServer, produce: Produce) -> None:
    old = produce(server.url, attempt=7)
    old.write("Once upon")
    subscription = subscribe(server.url, "s")
    read = next(subscription)

    new = produce(server.url, attempt=8)
    new.write("It was ")
    with pytest.raises(Restarted) as caught:
        next(subscription)
    reached = subscription.offset
    new.write("so")
    new.end()

    assert read == "Once upon"
    assert (caught.value.attempt, caught.value.newer, reached) == (7, 8, 0)
    assert read_all(subscription) == "It was so"
    assert subscription.attempt == 8


def test_who_joins_reads_the_latest_attempt(server: RedisServer, produce: Produce) -> None:
    produce(server.url, attempt=7).write("Once upon")
    new = produce(server.url, attempt=8)
    new.write("It was so")
    new.end()

    assert read_all(subscribe(server.url, "s")) == "It was so"


# Whatever else is in Redis


def lies(read: str) -> list[bytes]:
    """What anybody may publish on the channel of attempt 7, of which `read` was read."""
    offset = len(read)
    return [
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"v":2,"type":"text"}',
        encode(replace(text(offset, "of another stream"), stream="other")),
        encode(text(offset, "of an older attempt", 6)),
        encode(end(read, 6)),
        encode(text(offset, "of an attempt that is not", 8)),
        encode(end(read, 8)),
        encode(text(offset + 900, "after a hole")),
        encode(text(offset - 1, "é", 7)),
        encode(text(0, f"{read}longer than it says", end=offset + 1)),
        encode(end(read[:-1])),
        encode(end(read.upper())),
        encode(end(f"{read} and more")),
        encode(Gap(stream="s", attempt=7, offset=offset, end=offset + 900)),
        encode(start()),
        encode(start(8)),
    ]


def test_a_channel_that_lies_does_no_harm(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url, attempt=7)
    producer.write("Once ")
    subscription = subscribe(server.url, "s")
    read = next(subscription)
    wait_for_listeners(server.client, producer.names.live)

    for number in range(len(lies(read))):
        producer.say(lies(read)[number])
        producer.write(f"{number} ")
        read += next(subscription)
    producer.end()

    assert read == producer.text
    assert read_all(subscription) == ""


def test_a_log_whose_producer_does_not_publish_is_read_as_it_grows(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    subscription = subscribe(server.url, "s")
    read = [next(subscription)]

    for event in (text(5, "upon", producer.info.attempt), end("Once upon", producer.info.attempt)):
        sequence = event.end if isinstance(event, Text) else event.offset + 1
        server.client.xadd(producer.names.log, {"event": encode(event)}, id=f"{event.attempt}-{sequence}")

    assert [*read, *subscription] == ["Once ", "upon"]


def test_a_log_that_holds_something_else_is_told(server: RedisServer) -> None:
    server.client.xadd("streamfan:{s}:log", {"other": "thing"})

    with pytest.raises(WireError, match="not an event"):
        next(subscribe(server.url, "s"))


@pytest.mark.parametrize("spoil", ["set", "rpush"])
def test_a_sign_of_life_that_is_none_stops_no_reader_of_the_log(
    server: RedisServer, produce: Produce, spoil: str
) -> None:
    producer = produce(server.url)
    producer.write("Hello")
    subscription = subscribe(server.url, "s")
    read = [next(subscription)]

    server.client.delete(producer.names.lease)
    getattr(server.client, spoil)(producer.names.lease, "nonsense")
    server.client.config_resetstat()
    # One that joins is a reason to look.
    read.append(next(subscribe(server.url, "s")))
    wait_until(lambda: commands(server.client, "pttl"))
    producer.write(", world")
    read.append(next(subscription))
    producer.end()

    assert read == ["Hello", "Hello", ", world"]
    assert list(subscription) == []


def test_a_producer_that_puts_no_sign_of_life_in_the_place_of_nonsense_is_lost(
    server: RedisServer, produce: Produce
) -> None:
    producer = produce(server.url)
    producer.write("Hello")
    producer.show_life(0.5)
    server.client.set(producer.names.lease, "nonsense")

    with pytest.raises(ProducerLost):
        list(subscribe(server.url, "s"))


def test_a_prefix_is_another_world(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url, prefix="mine")
    producer.write("Hello")
    producer.end()

    read = read_all(subscribe(server.url, "s", prefix="mine"))

    assert read == "Hello"
    with pytest.raises(StreamNotFound):
        next(subscribe(server.url, "s"))


# Event loops


async def test_many_tasks_read_many_streams(server: RedisServer, produce: Produce) -> None:
    producers = [produce(server.url, f"s{number}") for number in range(10)]

    async def read(number: int) -> str:
        return "".join([piece async for piece in asubscribe(server.url, f"s{number % 10}")])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(number)) for number in range(30)]
        await asyncio.sleep(0)
        for producer in producers:
            producer.write("Once ", "upon")
            producer.end()

    assert {task.result() for task in tasks} == {"Once upon"}


def test_two_event_loops_read_the_same_stream(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)

    async def read() -> str:
        async with asubscribe(server.url, "s") as subscription:
            return "".join([piece async for piece in subscription])

    loops = [Background(lambda: asyncio.run(read())) for _ in range(2)]
    producer.write("Once ", "upon")
    producer.end()

    assert [loop.result() for loop in loops] == ["Once upon"] * 2


def test_a_loop_that_is_closed_while_it_waits_harms_nobody(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ")
    left = asubscribe(server.url, "s")

    async def leave_waiting() -> object:
        first = await anext(left)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(left), 0.01)
        return first

    first = asyncio.run(leave_waiting())
    producer.write("upon")
    producer.end()

    assert first == "Once "
    assert read_all(subscribe(server.url, "s")) == "Once upon"
    assert asyncio.run(_rest(left)) == "upon"


async def _rest(subscription: AsyncSubscription[str]) -> str:
    return "".join([piece async for piece in subscription])


async def test_an_error_is_raised_in_a_loop_too_and_reading_goes_on(server: RedisServer, produce: Produce) -> None:
    producer = produce(server.url)
    producer.write("Once ", "upon")
    server.client.xtrim(producer.names.log, maxlen=1, approximate=False)
    subscription = asubscribe(server.url, "s")

    with pytest.raises(HistoryTrimmed):
        await anext(subscription)

    assert await anext(subscription) == "upon"
    await subscription.aclose()
    assert [piece async for piece in subscription] == []
