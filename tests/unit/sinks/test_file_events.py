from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from streamfan.errors import Retryable
from streamfan.events import End, Start, Text, decode
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks, ending
from tests.support.files import JSONL, connected, events_of, written
from tests.support.sinks import DEADLINE
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")


def test_events_can_be_read_back() -> None:
    sink = connected("a.jsonl", JSONL)
    stream = replace(info("s"), model="m", meta={"prompt": "naïve"})
    pieces = chunks(stream, "naïve ", "日本語\n\u2028", token_ids=[1, 2])

    sink.open(stream)
    for chunk in pieces:
        sink.write(chunk)
    sink.close(stream, end := ending(stream, "naïve 日本語\n\u2028", token_ids=[3]))

    assert events_of("a.jsonl") == [Start.of(stream), *map(Text.of, pieces), end]


def test_token_ids_can_be_left_out() -> None:
    sink = connected("a.jsonl", FileOptions(format="jsonl", token_ids=False))
    (chunk,) = chunks(info(), "text", token_ids=[1, 2])

    sink.open(chunk.stream)
    sink.write(chunk)
    sink.close(chunk.stream, ending(chunk.stream, "text", token_ids=[3]))

    assert [event.token_ids for event in events_of("a.jsonl") if isinstance(event, Text | End)] == [(), ()]


def test_events_are_appended() -> None:
    written("a.jsonl", "first", options=JSONL)

    written("a.jsonl", "second", options=JSONL)

    assert [event.text for event in events_of("a.jsonl") if isinstance(event, Text)] == ["first", "second"]


def test_streams_share_a_file_of_events_at_a_time() -> None:
    sink = connected("a.jsonl", JSONL)
    (first,), (second,) = chunks(info("a"), "1"), chunks(info("b"), "2")

    sink.open(first.stream)
    sink.open(second.stream)
    sink.write(second)
    sink.write(first)

    assert [(event.stream, event.type) for event in events_of("a.jsonl")] == [
        ("a", "start"),
        ("b", "start"),
        ("b", "text"),
        ("a", "text"),
    ]


def test_line_that_a_crash_left_unfinished_spoils_no_other() -> None:
    Path("a.jsonl").write_text('{"complete":1}\n{"torn":')

    written("a.jsonl", "text", options=JSONL)

    first, torn, *ours = Path("a.jsonl").read_text().splitlines()
    assert (first, torn) == ('{"complete":1}', '{"torn":')
    assert [decode(line).type for line in ours] == ["start", "text", "end"]


def test_line_that_another_program_left_unfinished_meanwhile_spoils_no_other() -> None:
    sink = connected("a.jsonl", JSONL)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    with Path("a.jsonl").open("a") as other:
        other.write('{"torn":')

    sink.write(chunk)

    _, torn, ours = Path("a.jsonl").read_text().splitlines()
    assert torn == '{"torn":'
    assert decode(ours) == Text.of(chunk)


def held_lock(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def test_file_of_events_that_stays_locked_is_an_error_at_the_start() -> None:
    descriptor = held_lock("a.jsonl")

    with pytest.raises(Retryable, match=r"'a\.jsonl' is locked by another program"):
        connected("a.jsonl", JSONL)

    os.close(descriptor)
    connected("a.jsonl", JSONL)


def test_event_waits_for_its_turn_and_gives_it_back() -> None:
    sink = connected("a.jsonl", JSONL)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    descriptor = held_lock("a.jsonl")

    writer = threading.Thread(target=sink.write, args=(chunk,))
    writer.start()
    writer.join(0.1)
    before = len(events_of("a.jsonl"))
    os.close(descriptor)
    writer.join(DEADLINE)

    assert (before, len(events_of("a.jsonl"))) == (1, 2)
    os.close(held_lock("a.jsonl"))
