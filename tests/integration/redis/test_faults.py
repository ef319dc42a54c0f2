"""Lost replies, cut connections, servers that die: the log holds the text once, without a gap."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.events import Chunk, Text, encode
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.redis.address import Address
from streamfan.redis.connection import Connection
from streamfan.sinks.redis import RedisSink
from tests.support.deliveries import chunks, deliver, ending
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import injects
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_sinks import Make


@pytest.fixture
def proxy(any_server: RedisServer) -> Iterator[FaultProxy]:
    any_server.client.flushall()
    with FaultProxy(any_server.port) as proxy:
        yield proxy


def test_a_text_whose_reply_was_lost_is_there_once(proxy: FaultProxy, any_server: RedisServer, make: Make) -> None:
    sink, stream = make(proxy.url), info()
    first, second, third = chunks(stream, "Once ", "upon ", "a time")
    sink.open(stream)
    sink.write(first)

    proxy.lose_reply()
    with pytest.raises(Retryable):
        sink.write(second)
    held = sink.open(stream)
    sink.write(third)

    assert held == second.end
    assert text_of(any_server.client) == "Once upon a time"


def test_a_connection_cut_at_any_byte_of_a_command_costs_nothing(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    sink, stream, text, uncut = make(proxy.url), info(), "", False
    sink.open(stream)

    for after in count():
        _, chunk = chunks(stream, text, f"{after} ")
        proxy.cut_after(requests=after)
        with suppress(Retryable):
            sink.write(chunk)
            uncut = True
        if not uncut and sink.open(stream) != chunk.end:
            sink.write(chunk)
        text += chunk.text
        if uncut:
            # The whole command has passed, and it holds the event.
            assert after > len(encode(Text.of(chunk)))
            break

    assert text_of(any_server.client) == text


def test_bytes_that_come_one_by_one_arrive(proxy: FaultProxy, any_server: RedisServer, make: Make) -> None:
    proxy.slow_down(size=1)

    deliver(make(proxy.url), "Once ", "upon ", "a time")

    assert text_of(any_server.client) == "Once upon a time"


def test_a_start_whose_reply_was_lost_is_there_once(proxy: FaultProxy, any_server: RedisServer, make: Make) -> None:
    sink, stream, held = make(proxy.url), info(), None

    proxy.cut()
    with pytest.raises(Retryable):
        sink.open(stream)

    # Every answer that connecting and opening wait for is lost in turn.
    for answers in count():
        proxy.lose_reply(after=answers)
        with suppress(Retryable):
            held = sink.open(stream)
            break
        # A reader that sees a log without an end sees its producer's sign of life too.
        assert any_server.client.exists("streamfan:{s}:lease") >= any_server.client.exists("streamfan:{s}:log")
        # Nobody may be left to say how long they are kept.
        assert -1 not in {any_server.client.pttl(f"streamfan:{{s}}:{key}") for key in ("lease", "log", "attempt")}

    assert answers > 3
    assert held == 0
    assert [id for id, _ in log_of(any_server.client)] == [f"{stream.attempt}-0"]


def test_nothing_is_kept_for_ever_at_whichever_byte_of_opening_the_connection_is_cut(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    # With a lease that is so long that no beat comes between.
    sink, client, uncut = make(proxy.url, lease="1h"), any_server.client, False

    for after in count():
        # Connected again, if need be, before there is anything to cut.
        sink.open(info("another"))
        proxy.cut_after(requests=after)
        with suppress(Retryable):
            sink.open(info(f"s{after}"))
            uncut = True
        names = (f"streamfan:{{s{after}}}:{key}" for key in ("lease", "log", "attempt"))
        assert -1 not in {client.pttl(name) for name in names}, after
        if uncut:
            break

    # The whole of it has passed.
    assert after > 900


def test_an_end_whose_reply_was_lost_is_there_once_and_published(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    sink, stream = make(proxy.url), info()
    sink.open(stream)
    sink.write(chunks(stream, "Hello")[0])
    with any_server.client.pubsub() as subscriber:
        subscriber.subscribe("streamfan:{s}:live")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"

        proxy.lose_reply()
        with pytest.raises(Retryable):
            sink.close(stream, ending(stream, "Hello"))
        held = sink.open(stream)
        sink.close(stream, ending(stream, "Hello"))
        published = subscriber.get_message(timeout=5)

    assert held == 5
    assert [id for id, _ in log_of(any_server.client)] == [f"{stream.attempt}-{part}" for part in (0, 5, 6)]
    assert '"type":"end"' in published["data"]
    assert not any_server.client.exists("streamfan:{s}:lease")


def test_what_the_log_does_not_have_is_not_published(proxy: FaultProxy, any_server: RedisServer, make: Make) -> None:
    older, later = info(), info()
    sink = make(proxy.url)
    sink.open(older)
    make(any_server.url).open(later)
    with any_server.client.pubsub() as subscriber:
        subscriber.subscribe("streamfan:{s}:live")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"

        with pytest.raises(Permanent):
            sink.write(chunks(older, "refused")[0])
        any_server.client.publish("streamfan:{s}:live", "the next message")

        assert subscriber.get_message(timeout=5)["data"] == "the next message"


def test_a_new_connection_writes_nothing_before_the_stream_is_opened_again(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    sink, stream = make(proxy.url), info()
    first, second = chunks(stream, "Once ", "upon")
    sink.open(stream)
    sink.write(first)
    proxy.cut()
    with pytest.raises(Retryable):
        sink.beat(stream)
    sink.beat(stream)

    with pytest.raises(Retryable):
        sink.write(second)
    held = sink.open(stream)
    sink.write(second)

    assert held == first.end
    assert text_of(any_server.client) == "Once upon"


def test_a_connection_that_was_lost_does_not_come_back(proxy: FaultProxy) -> None:
    connection = Connection(Address(proxy.url))
    proxy.cut()
    accepted = proxy.accepted

    for _ in range(2):
        with pytest.raises(Retryable):
            connection.command("PING")

    assert not connection.alive
    assert proxy.accepted == accepted


def test_a_stream_given_up_over_a_cut_connection_still_gets_its_end(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    sink, stream = make(proxy.url), info()
    sink.open(stream)
    sink.write(chunks(stream, "Once ")[0])
    proxy.cut()
    with pytest.raises(Retryable):
        sink.beat(stream)

    sink.close(stream, replace(ending(stream, "Once upon a time"), complete=False))

    id, end = log_of(any_server.client)[-1]
    assert id == f"{stream.attempt}-17"
    assert (end["offset"], end["complete"]) == (16, False)


@pytest.mark.guarantee("redis", "wrong answer")
def test_a_log_that_has_vanished_is_written_again_from_the_start(server: RedisServer, make: Make) -> None:
    sink, stream = make(), info()
    first, second = chunks(stream, "Once ", "upon")
    sink.open(stream)
    sink.write(first)
    injects(server.client.flushall)()

    with pytest.raises(Retryable, match="has vanished"):
        sink.write(second)
    held = sink.open(stream)
    for chunk in (first, second):
        sink.write(chunk)
    sink.close(stream, ending(stream, "Once upon"))

    assert held == 0
    assert text_of(server.client) == "Once upon"
    assert [event["type"] for _, event in log_of(server.client)] == ["start", "text", "text", "end"]


def test_a_stream_that_was_forgotten_and_comes_back_is_there_once(
    server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamfan.sinks.redis.log_mode._REMEMBERED", 2)
    sink, stream = make(), info()
    first, second = chunks(stream, "Once ", "upon")
    sink.open(stream)
    sink.write(first)
    for number in range(9):
        sink.open(info(f"given-up-{number}"))

    with pytest.raises(Retryable):
        sink.write(second)
    held = sink.open(stream)
    for chunk in (first, second):
        sink.write(chunk)
    sink.close(stream, ending(stream, "Once upon"))

    assert held == 0
    assert text_of(server.client) == "Once upon"


def test_an_end_that_says_complete_is_not_written_where_text_is_missing(server: RedisServer, make: Make) -> None:
    sink, stream = make(), info()
    sink.open(stream)
    sink.write(chunks(stream, "Once upon")[0])
    server.client.flushall()

    for _ in range(2):
        with pytest.raises(Retryable):
            sink.close(stream, ending(stream, "Once upon"))

    assert sink.open(stream) == 0
    assert [event["type"] for _, event in log_of(server.client)] == ["start"]


@pytest.mark.parametrize(("configuration", "kept"), [(("appendonly yes", "appendfsync always"), 5), ((), 0)])
def test_after_a_server_was_killed_the_log_tells_what_it_kept(
    configuration: tuple[str, ...], kept: int, make: Make
) -> None:
    with RedisServer(*configuration) as server:
        sink, stream = make(server.url), info()
        sink.open(stream)
        sink.write(chunks(stream, "Once ")[0])
        server.kill()
        with pytest.raises(Retryable):
            sink.write(chunks(stream, "Once ", "upon")[1])
        with pytest.raises(Retryable):
            sink.open(stream)

        server.start()

        assert sink.open(stream) == kept


@pytest.mark.guarantee("redis", "reset in the middle")
def test_a_fan_brings_the_whole_text_through_every_fault(proxy: FaultProxy, any_server: RedisServer) -> None:
    rounds = range(16)

    with Fan(RedisSink(proxy.url)) as fan, fan.open("s") as stream:
        for number in rounds:
            stream.write(f"before {number} ")
            proxy.cut()
            proxy.lose_reply(after=number)
            stream.write(f"after {number} ")
            expected = f"after {number} "
            wait_until(lambda: text_of(any_server.client).endswith(expected))  # noqa: B023 - called at once

    assert fan.report.sinks[0].retries >= len(rounds)
    assert fan.report.sinks[0].complete == 1
    assert text_of(any_server.client) == "".join(f"before {number} after {number} " for number in rounds)
    assert log_of(any_server.client)[-1][1]["complete"] is True


def test_what_another_sink_has_brought_while_a_reply_was_lost_is_not_taken_for_sent(
    proxy: FaultProxy, any_server: RedisServer, make: Make
) -> None:
    sink, other, stream = make(proxy.url), make(any_server.url), info()
    proxy.cut()
    with pytest.raises(Retryable):
        sink.open(stream)
    other.open(stream)
    other.write(chunks(stream, "Once")[0])

    # A lane goes on only from what it has sent.
    assert sink.open(stream) == 0


def test_what_another_sink_was_quicker_with_is_there_once(any_server: RedisServer, make: Make) -> None:
    any_server.client.flushall()
    stream = info()
    one, two = make(any_server.url), make(any_server.url)
    first, second = chunks(stream, "Once ", "upon")
    one.open(stream)
    two.open(stream)

    one.write(first)
    two.write(first)
    two.write(second)
    one.write(second)
    for sink in (one, two):
        sink.close(stream, ending(stream, "Once upon"))

    assert text_of(any_server.client) == "Once upon"
    assert [event["type"] for _, event in log_of(any_server.client)] == ["start", "text", "text", "end"]


def test_program_that_goes_on_where_another_has_died_adds_what_is_missing(any_server: RedisServer, make: Make) -> None:
    any_server.client.flushall()
    stream = info()
    died, next_one = make(any_server.url), make(any_server.url)
    died.open(stream)
    for chunk in with_ids(chunks(stream, "dí", "a "), (1, 2), (3,)):
        died.write(chunk)

    held = next_one.open(stream)
    for chunk in with_ids(chunks(stream, "d", "ía à ", "día"), (1,), (2, 3, 4, 5), (6,)):
        next_one.write(chunk)
    next_one.close(stream, ending(stream, "día à día"))

    assert held == 0
    events = [event for _, event in log_of(any_server.client)]
    assert [(event["offset"], event["text"], event["token_ids"]) for event in events[1:-1]] == [
        (0, "dí", [1, 2]),
        (3, "a ", [3]),
        (5, "à ", [4, 5]),
        (8, "día", [6]),
    ]


@pytest.mark.parametrize("text", ["día", "data"])
def test_program_that_goes_on_with_another_text_is_refused(any_server: RedisServer, make: Make, text: str) -> None:
    any_server.client.flushall()
    stream = info()
    died, next_one = make(any_server.url), make(any_server.url)
    died.open(stream)
    died.write(chunks(stream, "do")[0])
    next_one.open(stream)

    with pytest.raises(Permanent, match="does not hold our entry"):
        next_one.write(chunks(stream, text)[0])
    assert text_of(any_server.client) == "do"


def with_ids(chunks: list[Chunk], *ids: tuple[int, ...]) -> list[Chunk]:
    return [replace(chunk, token_ids=each) for chunk, each in zip(chunks, ids, strict=True)]


def test_two_sinks_with_one_server_agree(server: RedisServer) -> None:
    with Fan() as fan:
        for id in ("one", "two"):
            fan.add(RedisSink(server.url), id=id, lane=LaneOptions(linger=0.0))
        with fan.open("s") as stream:
            for number in range(200):
                stream.write(f"word{number} ")

    text = b""
    for _, event in log_of(server.client):
        if event["type"] == "text" and event["end"] > len(text):
            assert event["offset"] <= len(text)
            text += event["text"].encode()[len(text) - event["offset"] :]
    assert text.decode() == "".join(f"word{number} " for number in range(200))
    assert [sink.complete for sink in fan.report.sinks] == [1, 1]
