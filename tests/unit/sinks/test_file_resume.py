from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks, deliver, ending
from tests.support.faults import injects
from tests.support.files import connected, names, text_of, written
from tests.support.limits import largest_file
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")

RESUME = FileOptions(mode="resume")
WHOLE = "Hello wörld 日本"


@pytest.mark.parametrize("length", range(len(WHOLE.encode()) + 1))
def test_text_goes_on_where_the_file_was_cut_even_within_a_character(length: int) -> None:
    Path("a.txt").write_bytes(WHOLE.encode()[:length])

    written("a.txt", "Hello w", "örld 日", "本", options=RESUME)

    assert text_of("a.txt") == WHOLE


def test_file_that_is_not_there_is_begun() -> None:
    assert text_of(written("{stream}.txt", "text", options=RESUME).with_name("s.txt")) == "text"


def test_nothing_is_written_while_the_file_has_what_comes() -> None:
    Path("a.txt").write_text("Hello")
    sink = connected("a.txt", RESUME)
    first, second = chunks(info(), "Hel", "lo wörld")

    sink.open(first.stream)
    sink.write(first)
    after_first = text_of("a.txt")
    sink.write(second)

    assert (after_first, text_of("a.txt")) == ("Hello", "Hello wörld")


@pytest.mark.parametrize(("there", "position"), [("Hxllo", 1), ("Hello wörks", 10), ("Hello wörld\x00", 12)])
def test_file_of_another_text_is_refused_where_it_differs_and_left_as_it_is(there: str, position: int) -> None:
    Path("a.txt").write_text(there)

    with pytest.raises(Permanent, match=rf"'a\.txt' cannot be resumed: from byte {position} on it differs") as refused:
        deliver(connected("a.txt", RESUME), "Hello", " wörld 日本")

    assert text_of("a.txt") == there
    assert "\nTry: another path, or the option mode=overwrite" in str(refused.value)


def test_file_that_goes_on_where_the_text_has_ended_is_refused() -> None:
    Path("s.txt").write_text("Hello wörld")

    with pytest.raises(Permanent, match=r"'s\.txt' cannot be resumed: from byte 5 on it differs"):
        deliver(connected("{stream}.txt", RESUME), "Hello", stream=info("s"))

    assert text_of("s.txt") == "Hello wörld"


def test_file_that_goes_on_where_the_last_text_has_ended_is_refused_at_the_end() -> None:
    Path("a.txt").write_text("first\nsecond and more")
    sink = connected("a.txt", RESUME)
    deliver(sink, "first")
    deliver(sink, "second")

    with pytest.raises(Permanent, match="from byte 12 on it differs"):
        sink.disconnect()


@pytest.mark.parametrize("change", [{"finish_reason": "cancelled"}, {"complete": False}])
@pytest.mark.parametrize("target", ["s.txt", "{stream}.txt"])
def test_text_that_was_cut_short_has_not_come_to_what_is_there(target: str, change: dict[str, Any]) -> None:
    Path("s.txt").write_text("Hello wörld")
    sink = connected(target, RESUME)
    (chunk,) = chunks(info("s"), "Hello")

    sink.open(chunk.stream)
    sink.write(chunk)
    sink.close(chunk.stream, replace(ending(chunk.stream, "Hello"), **change))
    sink.disconnect()

    assert text_of("s.txt") == "Hello wörld"


@pytest.mark.parametrize("length", range(len("first\nsecond\nthird") + 1))
def test_several_texts_in_a_file_go_on_where_it_was_cut(length: int) -> None:
    Path("a.txt").write_text("first\nsecond\nthird"[:length])
    sink = connected("a.txt", RESUME)

    for text in ("first", "second\n", "third"):
        deliver(sink, *text)
    sink.disconnect()

    assert text_of("a.txt") == "first\nsecond\nthird"


def test_piece_that_the_disk_has_no_room_for_is_compared_again() -> None:
    Path("a.txt").write_text("Hello")
    sink = connected("a.txt", RESUME)
    first, second = chunks(info(), "Hel", "lo wörld")
    sink.open(first.stream)
    sink.write(first)

    with largest_file(8), pytest.raises(Permanent, match="File too large"):
        sink.write(second)
    held = sink.open(first.stream)
    sink.write(second)

    assert held == 3
    assert text_of("a.txt") == "Hello wörld"


def test_only_what_can_be_read_again_is_resumed() -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)

    for options in (RESUME, FileOptions(mode="resume", format="jsonl")):
        with pytest.raises(Permanent, match=r"'pipe' cannot be resumed: it is not a regular file\nTry: .*mode=append"):
            connected("pipe", options).open(info())

    os.close(reader)


@pytest.mark.guarantee("file", "wrong answer")
def test_file_that_another_program_has_cut_off_is_not_taken_for_the_same() -> None:
    Path("a.txt").write_text("Hello")
    sink = connected("a.txt", RESUME)
    (chunk,) = chunks(info(), "Hello")
    sink.open(chunk.stream)
    injects(os.truncate)("a.txt", 2)

    with pytest.raises(Permanent, match=r"'a\.txt' was cut off by another program"):
        sink.write(chunk)


def test_connecting_creates_and_changes_nothing() -> None:
    Path("old.txt").write_text("old")

    connected("old.txt", RESUME).disconnect()
    connected("new.txt", RESUME).disconnect()

    assert (names(), text_of("old.txt")) == (["old.txt"], "old")
