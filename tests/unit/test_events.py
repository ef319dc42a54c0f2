"""Wire format version 1: what goes out comes back, and what is no event is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import WireError
from streamfan.events import Cancellation, Chunk, End, Event, Fault, Gap, Start, StreamInfo, Text, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

TIME = datetime(2026, 11, 20, 17, 23, 31, 42000, tzinfo=UTC)
INFO = StreamInfo(id="s1", attempt=7, writer="9f2c", time=TIME, model="m", row=2, meta={"a": [1]})

EVENTS: list[Event] = [
    Start.of(INFO),
    Text.of(Chunk(INFO, 3, "héllo".encode(), (1, 2), TIME)),
    Gap(stream="s1", attempt=7, offset=5, end=90),
    End(
        stream="s1",
        attempt=7,
        offset=9,
        finish_reason="cancelled",
        error=Fault("ValueError", "no"),
        cancel=Cancellation("stop it", "ann"),
        sha256="00",
        duration=1.5,
        time=TIME,
        meta={"usage": {"total_tokens": 3}},
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_event_comes_back_as_it_went_out(event: Event) -> None:
    assert decode(encode(event)) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_event_is_one_line(event: Event) -> None:
    assert b"\n" not in encode(event)


@given(st.text(min_size=1))
def test_any_text_survives_the_wire(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    event = Text.of(Chunk(INFO, 0, text.encode(), (), TIME))

    back = decode(encode(event))

    assert isinstance(back, Text)
    assert back.text == text


def test_text_event_has_the_fields_of_the_wire_format() -> None:
    event = json.loads(encode(Text.of(Chunk(INFO, 0, b"Hello", (15496,), TIME))))

    assert event == {
        "v": 1,
        "type": "text",
        "stream": "s1",
        "attempt": 7,
        "offset": 0,
        "end": 5,
        "text": "Hello",
        "token_ids": [15496],
        "time": "2026-11-20T17:23:31.042000Z",
    }


def test_token_ids_can_be_left_out() -> None:
    assert Text.of(Chunk(INFO, 0, b"x", (1,), TIME), token_ids=False).token_ids == ()


def test_unknown_fields_are_ignored() -> None:
    line = json.loads(encode(EVENTS[0])) | {"new": {"deep": 1}}

    assert decode(json.dumps(line)) == EVENTS[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("hello", "Invalid JSON"),
        ("[]", "event"),
        ('{"v":1,"type":"text","stream":"s"}', "text.attempt"),
        ('{"v":1,"type":"nonsense"}', "nonsense"),
        (b"\xff\xfe", "not an event"),
        (b"[" * 100_000, "not an event"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_event_is_refused_by_name(data: bytes | str, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode(data)


@pytest.mark.parametrize("shape", [lambda event: event, lambda event: {"v": event["v"], "kind": "other"}])
def test_event_of_another_version_is_an_error_that_says_so(shape: Callable[[dict[str, object]], object]) -> None:
    event = json.loads(encode(EVENTS[0])) | {"v": 2}

    with pytest.raises(WireError, match="version 2, this reader knows version 1"):
        decode(json.dumps(shape(event)))


def test_chunk_counts_bytes_not_characters() -> None:
    chunk = Chunk(INFO, 10, "日本".encode())

    assert (chunk.end, chunk.text) == (16, "日本")


def test_sink_can_carry_a_stop_back_through_the_stream_info() -> None:
    asked: list[tuple[str, str]] = []
    info = StreamInfo(id="s", attempt=1, writer="w", time=TIME, on_cancel=lambda reason, by: asked.append((reason, by)))

    info.cancel("enough", by="reader")

    assert asked == [("enough", "reader")]


@pytest.mark.parametrize(
    "written", ["2026-11-20T18:23:31.042+01:00", "2026-11-20T17:23:31.042Z", "2026-11-20T17:23:31.042"]
)
def test_times_are_in_the_interpreters_own_utc_whatever_was_written(written: str) -> None:
    event = decode(encode(Start.of(INFO)).replace(b'"time":"', b'"time":"' + written.encode() + b'","_":"', 1))

    assert isinstance(event, Start)
    assert event.time == datetime(2026, 11, 20, 17, 23, 31, 42_000, tzinfo=UTC)
    assert event.time.tzinfo is UTC


def test_time_that_has_no_utc_is_no_event() -> None:
    written = encode(Start.of(INFO)).replace(b'"time":"', b'"time":"0001-01-01T00:00:00+14:00","_":"', 1)

    with pytest.raises(WireError, match="not an event: time"):
        decode(written)
