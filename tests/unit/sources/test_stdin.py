"""Standard input as a source: the real file descriptor 0, with a pipe, a file or a terminal behind it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

import pytest

from streamfan import Fan
from streamfan.errors import UsageError
from streamfan.lane import backlog
from streamfan.plugins import plugins
from streamfan.source import Request
from streamfan.sources import lines
from streamfan.sources.stdin import StdinOptions, StdinSource
from tests.support.opener import MemoryFan
from tests.support.sinks import GatedSink, MemorySink, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamfan.report import StreamReport
    from streamfan.stream import Stream


@contextmanager
def standard_input(fd: int) -> Iterator[None]:
    """Make `fd` standard input for a while; it is closed after that."""
    saved = os.dup(0)
    os.dup2(fd, 0)
    os.close(fd)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)


@contextmanager
def reading(fd: int, *stop: str) -> Iterator[Stream]:
    """The stream that a source publishes `fd` to; the source has returned when this is left."""
    source, request = StdinSource(), Request(stop=stop)
    with MemoryFan() as fan, standard_input(fd):
        source.load(request)
        thread = threading.Thread(target=source.run, args=(fan, request))
        thread.start()
        yield fan.next()
        thread.join(10)
        assert not thread.is_alive()


def publish(fd: int, *stop: str) -> Stream:
    """Publish all of `fd`."""
    source, request, fan = StdinSource(), Request(stop=stop), MemoryFan()
    with standard_input(fd):
        source.run(cast("Fan", fan), request)
    return fan.opened[0]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends; the second is closed in the end."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)


def pipe_with(data: bytes) -> int:
    """The end of a pipe that `data` comes out of."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader


# What is read


def test_source_is_found_by_its_name() -> None:
    assert plugins().source("stdin") is StdinSource


def test_input_is_published_as_it_arrives(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    with reading(reader) as stream:
        texts = iter(stream)
        seen = []
        for data in (b"one", b"two", b"three"):
            os.write(writer, data)
            seen.append(next(texts))
        stream.cancel()

    assert seen == ["one", "two", "three"]


def test_character_that_arrives_in_parts_is_published_whole(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    with reading(reader) as stream:
        texts = iter(stream)
        os.write(writer, b"caf\xc3")
        first = next(texts)
        os.write(writer, b"\xa9 \xf0\x9f")
        second = next(texts)
        os.write(writer, b"\x98")
        os.write(writer, b"\x80")
        third = next(texts)
        stream.cancel()

    assert [first, second, third] == ["caf", "é ", "😀"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"a\r\nb\x00\xef\xbb\xbf", "a\r\nb\x00\ufeff"),
        (b"a\xffb", "a\ufffdb"),
        (b"cut \xf0\x9f\x98", "cut \ufffd"),
        ("é日😀".encode() * 5000, "é日😀" * 5000),
    ],
    ids=["nothing", "control characters", "not UTF-8", "cut off", "long"],
)
def test_stream_holds_what_the_input_says(data: bytes, text: str) -> None:
    stream = publish(pipe_with(data))

    assert stream.text == text
    assert stream.finish_reason == "stop"


def test_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("from a file 😀\n" * 10_000)

    stream = publish(os.open(path, os.O_RDONLY))

    assert stream.text == path.read_text()
    assert stream.finish_reason == "stop"


def test_terminal_is_read_line_by_line() -> None:
    controller, terminal = os.openpty()

    with reading(terminal) as stream:
        os.write(controller, b"typed\n")
        line = next(iter(stream))
        os.write(controller, b"\x04")
    os.close(controller)

    assert line == "typed\n"
    assert stream.finish_reason == "stop"


def test_pipe_that_never_makes_its_readers_wait_is_read_too(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(reader, False)

    with reading(reader) as stream:
        os.write(writer, b"late")
        text = next(iter(stream))
        stream.cancel()

    assert text == "late"


# How it ends


def test_cancelled_stream_ends_although_no_input_comes(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    with reading(reader) as stream:
        os.write(writer, b"half \xc3")
        next(iter(stream))
        stream.cancel("enough", by="test")

    assert stream.finish_reason == "cancelled"
    assert stream.text == "half "


def test_stop_string_ends_the_stream(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    with reading(reader, "END") as stream:
        for data in (b"text EN", b"D more", b" and more"):
            os.write(writer, data)

    assert stream.text == "text "
    assert stream.finish_reason == "stop"


def test_beginning_of_a_stop_string_at_the_end_of_the_input_is_text() -> None:
    stream = publish(pipe_with(b"text EN"), "END")

    assert stream.text == "text EN"


def test_input_that_cannot_be_read_fails_the_stream(tmp_path: Path) -> None:
    stream = publish(os.open(tmp_path / "for writing", os.O_WRONLY | os.O_CREAT))

    assert stream.outcome is not None
    assert stream.outcome.error is not None
    assert stream.outcome.error.type == "SourceError"


def test_stream_that_somebody_else_has_ended_is_read_for_no_further(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    with reading(reader) as stream:
        stream.fail("the fan was closed")
        os.write(writer, b"too late")

    assert stream.text == ""


# What cannot be read


def test_folder_is_refused(tmp_path: Path) -> None:
    with standard_input(os.open(tmp_path, os.O_RDONLY)), pytest.raises(UsageError, match="is a folder"):
        StdinSource().load(Request())


def test_input_that_can_only_be_written_to_is_refused() -> None:
    with (
        standard_input(os.open(os.devnull, os.O_WRONLY)),
        pytest.raises(UsageError, match="can only be written to"),
    ):
        StdinSource().load(Request())


def test_closed_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(UsageError, match="closed"):
        StdinSource().load(Request())


# One stream for each line


def publish_lines(data: bytes, *stop: str) -> list[StreamReport]:
    """The streams that input in small pieces becomes, and their texts in `model`'s place."""
    source = StdinSource(None, StdinOptions.model_validate({"split": "line"}))
    reader, writer = os.pipe()
    texts: dict[str, str] = {}

    def write() -> None:
        with open(writer, "wb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            pipe.writelines(data[at : at + 3] for at in range(0, len(data), 3))

    with standard_input(reader), Fan() as fan:
        fan.observe(lambda stream, report: texts.update({report.id: stream.text}))
        thread = threading.Thread(target=write)
        thread.start()
        source.run(fan, Request(stop=stop))
        thread.join(10)
    reports = sorted(fan.report.streams, key=lambda report: int(report.id.rpartition("-")[2]))
    return [replace(report, model=texts[report.id]) for report in reports]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ("one\ntwo\n", ["one\n", "two\n"]),
        ("one\n\nthree", ["one\n", "\n", "three"]),
        ("a\u2028b\r\nc\x85\x0c\n", ["a\u2028b\r\n", "c\x85\x0c\n"]),
        ("日本\n😀\n", ["日本\n", "😀\n"]),
        ("", []),
    ],
)
def test_each_line_is_a_stream(data: str, texts: list[str]) -> None:
    reports = publish_lines(data.encode())

    assert [report.model for report in reports] == texts
    assert [report.id.rpartition("-")[2] for report in reports] == [str(number) for number in range(1, len(texts) + 1)]
    assert {report.finish_reason for report in reports} <= {"stop"}


def test_stop_string_ends_its_line_only() -> None:
    reports = publish_lines(b"one END of it\ntwo\nEN\n", "END")

    assert [report.model for report in reports] == ["one ", "two\n", "EN\n"]


def test_line_is_published_before_its_end_and_cancelling_it_spares_the_next(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    source = StdinSource(None, StdinOptions.model_validate({"split": "line"}))
    got: SimpleQueue[Stream] = SimpleQueue()
    with standard_input(reader), Fan() as fan:
        fan.observe(lambda stream, report: got.put(stream))
        thread = threading.Thread(target=source.run, args=(fan, Request()))
        thread.start()
        os.write(writer, b"one, and")
        wait_until(lambda: any(each.length == 8 for each in fan._accounts.streams))
        fan._accounts.streams[0].cancel("enough")
        os.write(writer, b" more\ntwo\n")
        first, second = got.get(timeout=30), got.get(timeout=30)
        fan.cancel("stop")
        thread.join(30)

    assert not thread.is_alive(), "it is told to stop although no stream is open"
    assert (first.text, first.finish_reason) == ("one, and", "cancelled")
    assert (second.text, second.finish_reason) == ("two\n", "stop")


def test_sinks_that_are_slow_make_the_input_wait(monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]) -> None:
    monkeypatch.setattr(lines, "_AHEAD", 5)
    monkeypatch.setattr(backlog, "_PATIENCE", 600)
    go_on = threading.Event()
    is_more = False

    def slow(text: str, end: bool) -> None:
        nonlocal is_more
        go_on.wait(30)
        is_more = is_more or fan.behind(6)

    reader, writer = pipe
    source = StdinSource(None, StdinOptions.model_validate({"split": "line"}))
    with standard_input(reader), Fan(slow) as fan:
        thread = threading.Thread(target=source.run, args=(fan, Request()))
        thread.start()
        os.write(writer, b"x\n" * 50)
        wait_until(lambda: fan.behind(5))
        go_on.set()
        wait_until(lambda: fan.report.finished == 50)
        fan.cancel()
        thread.join(30)

    assert not is_more


@pytest.mark.parametrize("limit", [10, 1_000], ids=["given up", "behind"])
def test_sink_that_hangs_keeps_no_line_from_the_others(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int], limit: int
) -> None:
    monkeypatch.setattr(lines, "_AHEAD", 5)
    monkeypatch.setattr(backlog, "_PATIENCE", 0.2)
    monkeypatch.setattr(backlog, "_STREAMS", limit)
    reader, writer = pipe
    source = StdinSource(None, StdinOptions.model_validate({"split": "line"}))
    hangs, works = GatedSink("write"), MemorySink()
    with standard_input(reader), Fan(works, hangs) as fan:
        thread = threading.Thread(target=source.run, args=(fan, Request()))
        thread.start()
        os.write(writer, b"x\n" * 200)
        wait_until(lambda: fan.report.sinks[0].complete == 200)
        if limit < 200:
            wait_until(lambda: fan.report.sinks[1].error is not None)
        fan.cancel()
        thread.join(30)
        hangs.gate.set()

    hung = fan.report.sinks[1]
    assert (hung.complete == 200) == (limit > 200)
    assert "10 streams may be" in (hung.error or "") or limit > 200


def test_no_line_begins_once_all_is_to_stop(monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]) -> None:
    monkeypatch.setattr(lines, "_AHEAD", 5)
    monkeypatch.setattr(backlog, "_PATIENCE", 600)
    go_on = threading.Event()
    reader, writer = pipe
    source = StdinSource(None, StdinOptions.model_validate({"split": "line"}))
    with standard_input(reader), Fan(lambda text, end: go_on.wait(30)) as fan:
        thread = threading.Thread(target=source.run, args=(fan, Request()))
        thread.start()
        os.write(writer, b"x\n" * 50)
        wait_until(lambda: fan.behind(5))
        fan.cancel("enough")
        thread.join(30)
        go_on.set()

    assert not thread.is_alive()
    assert len(fan.report.streams) == 5
