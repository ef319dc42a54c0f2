"""What JetStream holds of a stream, whoever has written it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import nats
import pytest

from streamfan import Chunk, Fan, LaneOptions, Permanent, Retryable, StreamInfo, UsageError
from streamfan.testing import ending, new_stream
from streamfan_nats import NatsOptions, NatsSink
from streamfan_nats.subjects import subject_of
from tests.support.publishing import WORDS, publish
from tests.support.reader import events, text
from tests.support.server import NatsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make(server: NatsServer) -> Iterator[Callable[..., NatsSink]]:
    """Makes sinks that are connected, and disconnects them."""
    made: list[NatsSink] = []

    def make(**options: Any) -> NatsSink:
        sink = NatsSink(server.url, NatsOptions.model_validate(options))
        made.append(sink)
        sink.connect()
        return sink

    yield make
    for sink in made:
        sink.disconnect()


def stream(id: str, attempt: int = 1000, writer: str = "c0de") -> StreamInfo:
    return new_stream(id=id, attempt=attempt, writer=writer)


def chunk(of: StreamInfo, offset: int, words: str, *ids: int) -> Chunk:
    return Chunk(of, offset, words.encode(), ids)


def test_events_are_those_of_the_wire_format(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    sink, told = make(), stream("wire")
    sink.open(told)
    sink.write(chunk(told, 0, "día", 7, 8))
    sink.close(told, ending(told, "día"))

    start, piece, last = events(server.url, "streamfan.wire")
    assert (start["type"], start["v"], start["writer"]) == ("start", 1, "c0de")
    assert (piece["offset"], piece["end"], piece["text"], piece["token_ids"]) == (0, 4, "día", [7, 8])
    assert (last["type"], last["offset"], last["complete"]) == ("end", 4, True)


def test_message_says_what_it_is_and_what_it_follows(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    sink, told = make(), stream("headers")
    sink.open(told)
    sink.write(chunk(told, 0, "a"))

    first, second = asyncio.run(_headers(server.url, "streamfan.headers"))
    assert first["Nats-Msg-Id"] == "headers/1000/c0de/start"
    assert second["Nats-Msg-Id"] == "headers/1000/c0de/0-1"
    assert first["Nats-Expected-Last-Subject-Sequence"] == "0"
    assert {each["Streamfan-Writer"] for each in (first, second)} == {"c0de"}


def test_token_ids_can_be_left_out(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    sink, told = make(token_ids=False), stream("bare")
    sink.open(told)
    sink.write(chunk(told, 0, "a", 7))
    sink.close(told, ending(told, "a", token_ids=(8,)))

    assert [event.get("token_ids") for event in events(server.url, "streamfan.bare")] == [None, [], []]


def test_later_attempt_fences_off_an_earlier_one(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    old, new = stream("fenced", 1000), stream("fenced", 2000, "beef")
    first, second = make(), make()
    first.open(old)
    first.write(chunk(old, 0, "old "))
    second.open(new)

    with pytest.raises(Retryable):
        first.write(chunk(old, 4, "text"))
    with pytest.raises(Permanent, match="attempt 2000 of writer 'beef' has taken over"):
        first.open(old)
    second.write(chunk(new, 0, "new"))
    second.close(new, ending(new, "new"))
    assert text(server.url, "streamfan.fenced") == "new"


def test_end_of_an_attempt_that_was_fenced_off_is_refused(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    old, new = stream("fencedend", 1000), stream("fencedend", 2000, "beef")
    first, second = make(), make()
    first.open(old)
    second.open(new)

    with pytest.raises(Retryable):
        first.close(old, ending(old, ""))
    with pytest.raises(Permanent, match="has taken over"):
        first.close(old, ending(old, ""))
    assert [event["type"] for event in events(server.url, "streamfan.fencedend")] == ["start", "start"]


def test_same_attempt_of_another_writer_is_refused(make: Callable[..., NatsSink]) -> None:
    make().open(stream("twice", 1000, "beef"))

    with pytest.raises(Permanent, match="of writer 'beef' has taken over from attempt 1000 of writer 'c0de'"):
        make().open(stream("twice", 1000, "c0de"))


def test_program_that_starts_again_writes_nothing_twice(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    """As a replay does: the same attempt, from the start, cut into other pieces."""
    told, first = stream("again"), make()
    first.open(told)
    first.write(chunk(told, 0, "Once ", 1))
    first.write(chunk(told, 5, "upon ", 2, 3))

    second = make()
    assert second.open(told) == 0
    second.write(chunk(told, 0, "On", 1))
    second.write(chunk(told, 2, "ce upon a ", 2, 3, 4))
    second.write(chunk(told, 12, "time", 5))
    second.close(told, ending(told, "Once upon a time"))

    assert text(server.url, "streamfan.again") == "Once upon a time"
    pieces = [event for event in events(server.url, "streamfan.again") if event["type"] == "text"]
    assert [piece["token_ids"] for piece in pieces] == [[1], [2, 3], [4], [5]]


def test_program_that_starts_again_after_the_end_writes_nothing(
    server: NatsServer, make: Callable[..., NatsSink]
) -> None:
    told = stream("over")
    for sink in (make(), make()):
        sink.open(told)
        sink.write(chunk(told, 0, "all"))
        sink.close(told, ending(told, "all"))

    assert len(events(server.url, "streamfan.over")) == 3


@pytest.mark.parametrize("words", ["Twice upon", "día", "Onc€ upon"])
def test_other_text_of_the_same_attempt_is_refused(make: Callable[..., NatsSink], words: str) -> None:
    told = stream(f"other{len(words)}{words[0]}")
    first = make()
    first.open(told)
    first.write(chunk(told, 0, "Once"))

    second = make()
    second.open(told)
    with pytest.raises(Permanent, match="another text of attempt 1000 is there"):
        second.write(chunk(told, 0, words))


def test_two_sinks_of_one_program_write_a_stream_once(server: NatsServer) -> None:
    done = publish(NatsSink(server.url), NatsSink(server.url), pause=0.001)

    done.report.raise_for_failures()
    assert text(server.url, done.subject) == done.text


def test_many_streams_at_once_are_whole(server: NatsServer) -> None:
    with Fan() as fan:
        fan.add(NatsSink(server.url), lane=LaneOptions(linger=0.0))
        streams = [fan.open() for _ in range(10)]
        for word in WORDS:
            for each in streams:
                each.write(f"{each.id}{word}")
        for each in streams:
            each.end()

    fan.report.raise_for_failures()
    for each in streams:
        assert text(server.url, f"streamfan.{each.id}") == each.text


def test_large_meta_and_text_stay_below_what_the_server_takes(server: NatsServer) -> None:
    """Where each byte of a text takes six in JSON."""
    with Fan() as fan:
        fan.add(NatsSink(server.url))
        with fan.open(meta={"prompt": "x" * 100_000}) as told:
            told.write("\x00" * 1_000_000)

    fan.report.raise_for_failures()
    assert text(server.url, f"streamfan.{told.id}") == "\x00" * 1_000_000


def test_what_somebody_else_has_written_there_is_no_event(server: NatsServer, make: Callable[..., NatsSink]) -> None:
    sink, told = make(), stream("alien")
    sink.open(told)
    asyncio.run(_publish(server.url, "streamfan.alien", b"hello"))

    with pytest.raises(Retryable):
        sink.write(chunk(told, 0, "a"))
    with pytest.raises(Permanent, match=r"'streamfan\.alien' holds what is no event"):
        sink.open(told)


@pytest.mark.parametrize("id", ["a.b", "*", ">", "a b", "a\r\nPUB b", ""])
def test_id_that_is_no_token_of_a_subject_is_refused(make: Callable[..., NatsSink], id: str) -> None:
    with pytest.raises(UsageError, match="is malformed"):
        make().open(stream(id))


def test_every_id_that_a_stream_may_have_is_a_token() -> None:
    assert subject_of("a.b", "Az09_-") == "a.b.Az09_-"


async def _headers(url: str, subject: str) -> list[dict[str, str]]:
    async with await nats.connect(url) as client:
        consumer = await client.jetstream().subscribe(subject, ordered_consumer=True)
        return [(await consumer.next_msg(timeout=30)).headers or {} for _ in range(2)]


async def _publish(url: str, subject: str, data: bytes) -> None:
    async with await nats.connect(url) as client:
        await client.jetstream().publish(subject, data)


async def _stream(url: str, **configuration: Any) -> None:
    async with await nats.connect(url) as client:
        await client.jetstream().add_stream(**configuration)


async def _configuration(url: str) -> dict[str, Any]:
    async with await nats.connect(url) as client:
        info = await client.jetstream().stream_info("STREAMFAN")
        return info.config.as_dict()


def test_stream_is_made_as_the_options_say(mortal: NatsServer) -> None:
    publish(NatsSink(mortal.url, NatsOptions(max_age=3600, duplicate_window=60)), words=["a"])

    made = asyncio.run(_configuration(mortal.url))
    assert (made["subjects"], made["storage"], made["retention"]) == (["streamfan.>"], "file", "limits")
    assert (made["max_age"], made["duplicate_window"]) == (3600 * 10**9, 60 * 10**9)


def test_stream_that_is_there_is_taken_as_it_is(mortal: NatsServer) -> None:
    asyncio.run(_stream(mortal.url, name="STREAMFAN", subjects=["streamfan.*", "other"], max_age=60))

    done = publish(NatsSink(mortal.url))

    done.report.raise_for_failures()
    assert text(mortal.url, done.subject) == done.text


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"name": "STREAMFAN", "subjects": ["streamfan.>"], "retention": "workqueue"}, "has retention"),
        ({"name": "STREAMFAN", "subjects": ["streamfan.>"], "no_ack": True}, "acknowledges nothing"),
        (
            {"name": "STREAMFAN", "subjects": ["streamfan.>"], "max_msgs_per_subject": 1},
            "keeps only the last 1 messages of a subject",
        ),
        ({"name": "STREAMFAN", "subjects": ["other"]}, "does not take subjects streamfan.*: none does"),
        ({"name": "OTHER", "subjects": ["streamfan.>"]}, "subjects overlap with an existing stream"),
    ],
)
def test_stream_that_would_not_keep_events_is_refused(
    mortal: NatsServer, configuration: dict[str, Any], words: str
) -> None:
    asyncio.run(_stream(mortal.url, **configuration))
    sink = NatsSink(mortal.url)

    with pytest.raises(Permanent) as raised:
        sink.connect()
    sink.disconnect()

    assert words in str(raised.value)


def test_replicas_of_a_single_server_are_refused(mortal: NatsServer) -> None:
    sink = NatsSink(mortal.url, NatsOptions(replicas=3))

    with pytest.raises(Permanent, match="replicas > 1 not supported in non-clustered mode"):
        sink.connect()
    sink.disconnect()


def test_event_larger_than_the_server_takes_is_refused_in_words() -> None:
    with NatsServer("max_payload: 4096") as small:
        done = publish(NatsSink(small.url), words=["x" * 10_000], lane=LaneOptions())

        (failure,) = done.report.failures
        assert "maximum payload exceeded" in str(failure)
        assert "max_bytes" in str(failure)
