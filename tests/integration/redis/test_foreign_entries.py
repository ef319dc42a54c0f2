"""Logs that somebody else has written into: text that is not there is not taken for delivered."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.events import Text, encode
from tests.support.deliveries import chunks, deliver, ending
from tests.support.faults import injects
from tests.support.redis_sinks import log_of
from tests.support.streams import info

if TYPE_CHECKING:
    from streamfan.events import End, Start
    from streamfan.sinks.redis import RedisSink
    from tests.support.faults import injects
    from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import Make

STREAM = replace(info(), attempt=5, writer="ours")
FIRST, SECOND = chunks(STREAM, "Once ", "upon")
LOG, ATTEMPT = "streamfan:{s}:log", "streamfan:{s}:attempt"
FOREIGN = "somebody has written entries\nTry: redis-cli DEL 'streamfan:{s}:log'"


@pytest.fixture
def client(any_server: RedisServer) -> Any:
    any_server.client.flushall()
    return any_server.client


@pytest.fixture
def sink(any_server: RedisServer, client: Any, make: Make) -> RedisSink:
    """One that has written the first half of the text."""
    sink = make(any_server.url)
    sink.open(STREAM)
    sink.write(FIRST)
    return sink


@injects
def put(client: Any, sequence: int, event: Start | Text | End) -> None:
    client.xadd(LOG, {"event": encode(event)}, id=f"5-{sequence}")


def test_a_text_is_not_taken_for_there_because_the_log_has_a_later_entry(sink: RedisSink, client: Any) -> None:
    put(client, 999_999, Text.of(FIRST))

    with pytest.raises(Permanent, match=f"entry 5-9.*{re.escape(FOREIGN)}"):
        sink.write(SECOND)


@pytest.mark.guarantee("redis", "wrong answer")
def test_a_text_is_not_taken_for_there_because_the_log_has_another_under_its_id(sink: RedisSink, client: Any) -> None:
    put(client, 9, replace(Text.of(SECOND), text="UPON"))

    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.write(SECOND)


def test_an_entry_whose_id_is_not_that_of_its_event_is_found_when_opening(sink: RedisSink, client: Any) -> None:
    put(client, 999_999, Text.of(FIRST))

    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.open(STREAM)


def test_a_gap_before_an_entry_of_somebody_else_is_found_after_opening(sink: RedisSink, client: Any) -> None:
    put(client, 12, replace(Text.of(SECOND), offset=9, end=12, text="..."))

    held = sink.open(STREAM)
    sink.write(FIRST)
    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.write(SECOND)

    assert held == 0


def test_a_log_that_vanishes_while_its_text_is_gone_through_is_begun_again(
    sink: RedisSink, any_server: RedisServer, client: Any, make: Make
) -> None:
    other = make(any_server.url)
    other.open(STREAM)
    client.flushall()

    with pytest.raises(Retryable, match="has vanished"):
        other.write(FIRST)

    assert other.open(STREAM) == 0
    other.write(FIRST)
    assert [id for id, _ in log_of(client)] == ["5-0", "5-5"]


def test_text_that_a_bounded_log_has_forgotten_counts_as_there(
    any_server: RedisServer, client: Any, make: Make
) -> None:
    one, two = make(any_server.url, history=100), make(any_server.url, history=100)
    texts = chunks(STREAM, *["word "] * 500)
    one.open(STREAM)
    for chunk in texts:
        one.write(chunk)

    two.open(STREAM)
    for chunk in texts:
        two.write(chunk)
    two.close(STREAM, ending(STREAM, "word " * 500))

    assert log_of(client)[0][1]["offset"] > 0
    assert log_of(client)[-1][1]["complete"] is True


@pytest.mark.parametrize("forgotten", [(), (ATTEMPT,)])
def test_the_text_of_two_writers_of_the_same_attempt_is_no_success(
    forgotten: tuple[str, ...], sink: RedisSink, any_server: RedisServer, client: Any, make: Make
) -> None:
    client.delete(LOG, ATTEMPT)
    deliver(make(any_server.url), "BBBB", stream=replace(STREAM, writer="theirs"))
    client.delete(*forgotten, "nothing")

    sink.write(SECOND)

    with pytest.raises(Permanent, match="attempt 5 of writer 'theirs' has taken over from attempt 5 of writer 'ours'"):
        sink.close(STREAM, ending(STREAM, "Once upon"))


def test_a_text_is_not_taken_for_there_because_an_end_has_its_id(
    sink: RedisSink, any_server: RedisServer, make: Make
) -> None:
    deliver(make(any_server.url), "Once ", stream=STREAM)
    _, letter = chunks(STREAM, "Once ", "u")

    with pytest.raises(Permanent, match=f"entry 5-6.*{re.escape(FOREIGN)}"):
        sink.write(letter)


def test_nothing_is_written_after_an_end_that_was_found_when_opening(
    sink: RedisSink, any_server: RedisServer, client: Any, make: Make
) -> None:
    deliver(make(any_server.url), "Once ", stream=STREAM)
    before = log_of(client)
    sink.open(STREAM)

    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.write(SECOND)
    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.close(STREAM, ending(STREAM, "Once upon"))

    assert log_of(client) == before


@pytest.mark.parametrize("again", [False, True])
def test_the_end_of_another_text_is_not_taken_for_ours(again: bool, sink: RedisSink, client: Any) -> None:
    put(client, 6, ending(STREAM, "ONCE "))
    if again:
        sink.open(STREAM)

    with pytest.raises(Permanent, match=re.escape(FOREIGN)):
        sink.close(STREAM, ending(STREAM, "Once "))


def test_a_log_that_another_writer_has_begun_is_refused_also_to_whom_the_attempt_belongs(
    any_server: RedisServer, client: Any, make: Make
) -> None:
    make(any_server.url).open(replace(STREAM, writer="theirs"))
    client.delete(ATTEMPT)
    client.xadd(ATTEMPT, {"writer": "ours", "lease": "20"}, id="5-0")

    with pytest.raises(Permanent, match="attempt 5 of writer 'theirs' has taken over from attempt 5 of writer 'ours'"):
        make(any_server.url).open(STREAM)
