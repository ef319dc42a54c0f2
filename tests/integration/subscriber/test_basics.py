"""A stream from another program: its history, then live, to its end; on new servers, old ones and an emulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import asubscribe, subscribe
from streamfan.errors import StreamFailed, StreamNotFound
from streamfan.events import End, Fault, Start, Text
from tests.support.producer import Background, wait_for_listeners

if TYPE_CHECKING:
    from tests.support.producer import Produce

pytestmark = pytest.mark.usefixtures("parser")


def test_who_joins_before_a_stream_reads_all_of_it(anywhere: str, produce: Produce) -> None:
    reading = Background(lambda: "".join(subscribe(anywhere, "s", wait=20)))

    producer = produce(anywhere)
    producer.write("Once ", "upon ", "a tïme ☕")
    producer.end()

    assert reading.result() == "Once upon a tïme ☕"


def test_who_joins_in_between_reads_what_was_and_then_what_comes(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere)
    producer.write("Once ", "upon ")
    subscription = subscribe(anywhere, "s")

    pieces = [next(subscription)]
    for text in ("a ", "tïme"):
        producer.write(text)
        pieces.append(next(subscription))
    producer.end()

    assert pieces == ["Once upon ", "a ", "tïme"]
    assert list(subscription) == []


def test_who_joins_afterwards_reads_all_of_it(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere, model="demo")
    producer.write("Once ", "upon ", "a tïme")
    end = producer.end()

    subscription = subscribe(anywhere, "s")

    assert "".join(subscription) == "Once upon a tïme"
    assert subscription.outcome == end
    assert subscription.info == Start.of(producer.info)
    assert (subscription.stream, subscription.attempt) == ("s", producer.info.attempt)
    assert subscription.offset == len("Once upon a tïme".encode())


async def test_an_event_loop_reads_the_same(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere)
    producer.write("Once ")
    subscription = asubscribe(anywhere, "s")

    pieces = [await anext(subscription)]
    producer.write("upon")
    pieces.append(await anext(subscription))
    producer.end()

    assert pieces == ["Once ", "upon"]
    assert [text async for text in subscription] == []


def test_events_are_given_as_they_were_published(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere)
    producer.write("Once ", "upon")
    end = producer.end(token_ids=(7,))

    start, *texts, last = subscribe(anywhere, "s", events=True)

    assert start == Start.of(producer.info)
    assert [(text.offset, text.text) for text in texts if isinstance(text, Text)] == [(0, "Once "), (5, "upon")]
    assert last == end
    assert isinstance(last, End)
    assert last.token_ids == (7,)


def test_a_stream_that_is_not_there_is_told_at_once(anywhere: str) -> None:
    with pytest.raises(StreamNotFound, match=r"^there is no stream 'missing' in Redis at redis://127"):
        next(subscribe(anywhere, "missing"))


def test_the_error_of_the_producer_comes_after_all_text(anywhere: str, produce: Produce) -> None:
    producer = produce(anywhere)
    producer.write("Once ", "upon")
    producer.end(finish_reason="error", error=Fault("ValueError", "no more"))
    subscription = subscribe(anywhere, "s")

    text = next(subscription)
    with pytest.raises(StreamFailed) as caught:
        next(subscription)

    assert text == "Once upon"
    assert (caught.value.stream, caught.value.kind, caught.value.message) == ("s", "ValueError", "no more")
    assert list(subscription) == []


def test_new_streams_are_read_one_after_the_other(anywhere: str, produce: Produce) -> None:
    old = produce(anywhere, "old")
    old.end()
    reading = Background(lambda: _read_streams(anywhere, 2))
    wait_for_listeners(old.client, "streamfan:streams")

    for name in ("a", "b"):
        producer = produce(anywhere, name)
        producer.write(f"text of {name}")
        producer.end()

    assert reading.result() == [("a", "text of a"), ("b", "text of b")]


def _read_streams(url: str, count: int) -> list[tuple[str | None, str]]:
    read: list[tuple[str | None, str]] = []
    with subscribe(url, events=True) as subscription:
        for event in subscription:
            if isinstance(event, Start):
                read.append((event.stream, ""))
            elif isinstance(event, Text):
                read[-1] = (read[-1][0], read[-1][1] + event.text)
            elif len(read) == count:
                break
    return read
