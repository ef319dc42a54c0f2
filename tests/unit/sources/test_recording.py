"""A recording comes out as it went in, and what is wrong with it is told."""

from __future__ import annotations

import gzip
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import SourceError, UsageError, WireError
from streamfan.events import Cancellation, Chunk, End, Fault, Gap, Start, Text, encode
from streamfan.fan import Fan
from streamfan.recording import LONGEST_LINE, read_lines
from streamfan.source import Request
from streamfan.sources.recording import RecordingOptions, RecordingSource
from tests.support.deliveries import chunks, ending
from tests.support.sinks import DEADLINE, MemorySink, wait_for, wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamfan.events import Event, FinishReason, StreamInfo
    from streamfan.report import Report
    from streamfan.stream import Stream


def events_of(stream: StreamInfo, *texts: str) -> list[Event]:
    return [Start.of(stream), *map(Text.of, chunks(stream, *texts)), ending(stream, "".join(texts))]


def write(path: Path, events: Sequence[Event | bytes]) -> str:
    path.write_bytes(b"".join((e if isinstance(e, bytes) else encode(e)) + b"\n" for e in events))
    return str(path)


def play(path: str, sink: MemorySink, speed: float = 0.0, then: tuple[str, ...] = ()) -> Report:
    source = RecordingSource(path, RecordingOptions(speed=speed, then=then))
    with Fan(sink) as fan:
        source.load(Request())
        source.run(fan, Request())
    return fan.report


def test_stream_has_the_identity_that_it_had(tmp_path: Path) -> None:
    stream = replace(info("story"), model="m", row=3, meta={"a": [1]})
    sink = MemorySink()

    report = play(write(tmp_path / "r", events_of(stream, "héllo ", "☕")), sink)

    (opened,) = {chunk.stream.id: chunk.stream for chunk in sink.chunks}.values()
    assert replace(opened, on_cancel=None) == replace(stream, on_cancel=None)
    assert (sink.text(), report.streams[0].finish_reason) == ("héllo ☕", "stop")
    assert report.streams[0].sha256 == ending(stream, "héllo ☕").sha256


def test_interleaved_streams_come_out_whole(tmp_path: Path) -> None:
    first, second = events_of(info("a"), "1", "2"), events_of(info("b"), "x", "y")

    report = play(write(tmp_path / "r", [e for pair in zip(first, second, strict=True) for e in pair]), MemorySink())

    assert {(stream.id, stream.bytes, stream.finish_reason) for stream in report.streams} == {
        ("a", 2, "stop"),
        ("b", 2, "stop"),
    }


@pytest.mark.parametrize("outcome", ["length", "cancelled", "error"])
def test_stream_ends_as_it_ended(tmp_path: Path, outcome: FinishReason) -> None:
    stream = info()
    end = replace(
        ending(stream, "a"),
        finish_reason=outcome,
        cancel=Cancellation("enough", "alice") if outcome == "cancelled" else None,
        error=Fault("OSError", "gone") if outcome == "error" else None,
        meta={"tool_calls": ["f"]},
    )
    sink = MemorySink()

    play(write(tmp_path / "r", [Start.of(stream), Text.of(chunks(stream, "a")[0]), end]), sink)

    (got,) = sink.ends
    assert (got.finish_reason, got.cancel, got.error, got.meta) == (outcome, end.cancel, end.error, end.meta)


def test_damaged_line_is_named_and_what_follows_a_hole_is_not_published(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream = info()
    events: list[Event | bytes] = [*events_of(stream, "one ", "two ", "three")]
    events[2] = b'{"v":1,"type":"te'
    sink = MemorySink()

    report = play(write(tmp_path / "r", events), sink)

    assert sink.text() == "one "
    assert report.streams[0].error is not None
    assert "lacks its text from byte 4 to byte 8 (line 4)" in report.streams[0].error
    assert [record.levelno for record in caplog.records if ", line 3 was left out: " in record.getMessage()] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("outcome", ["stop", "cancelled"])
def test_text_that_is_not_what_was_recorded_is_never_complete(tmp_path: Path, outcome: FinishReason) -> None:
    stream = info()
    events = events_of(stream, "hello ", "world")
    events[1] = Text.of(chunks(stream, "hullo ")[0])
    events[-1] = replace(ending(stream, "hello world"), finish_reason=outcome)
    sink = MemorySink()

    play(write(tmp_path / "r", events), sink)

    (end,) = sink.ends
    assert (end.finish_reason, end.cancel) == ("error", None)
    assert end.error is not None
    assert "another text than was recorded: its sha256 differs (line 4)" in end.error.message


def test_end_that_says_less_than_there_is_fails_its_stream(tmp_path: Path) -> None:
    stream = info()
    sink = MemorySink()

    report = play(write(tmp_path / "r", [*events_of(stream, "one", "two")[:-1], ending(stream, "one")]), sink)

    assert sink.text() == "onetwo"
    assert "its sha256 differs" in str(report.streams[0].error)


def test_whole_text_is_whole_whatever_was_thought_of_it(tmp_path: Path) -> None:
    stream = info()
    end = replace(ending(stream, "text"), complete=False)
    sink = MemorySink()

    play(write(tmp_path / "r", [*events_of(stream, "text")[:-1], end]), sink)

    assert [(got.finish_reason, got.complete) for got in sink.ends] == [("stop", True)]


def test_piece_that_would_go_on_inside_a_character_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream = info()
    pieces = [Text.of(Chunk(stream, 0, data.encode())) for data in ("a", "ñb")]
    sink = MemorySink()

    report = play(write(tmp_path / "r", [Start.of(stream), *pieces, ending(stream, "añb")]), sink)

    assert sink.text() == "a"
    assert "lacks its text from byte 1 to byte 4 (line 4)" in str(report.streams[0].error)
    assert any(", line 3 was left out: byte 1 is inside a character" in it.getMessage() for it in caplog.records)


def test_repeated_and_overlapping_pieces_are_published_once(tmp_path: Path) -> None:
    stream = info()
    one, two = chunks(stream, "añ", "b")
    whole = Text.of(Chunk(stream, 0, "añb".encode()))
    sink = MemorySink()

    play(write(tmp_path / "r", [Start.of(stream), Text.of(one), Text.of(one), whole, ending(stream, "añb")]), sink)

    assert sink.text() == "añb"
    assert two.end == 4


def test_recording_that_breaks_off_fails_its_stream_and_keeps_the_text(tmp_path: Path) -> None:
    stream = info()
    sink = MemorySink()

    report = play(write(tmp_path / "r", events_of(stream, "kept")[:-1]), sink)

    assert sink.text() == "kept"
    assert "ends before the stream does" in str(report.streams[0].error)


def test_attempt_that_is_there_twice_is_published_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stream = info()
    sink = MemorySink()

    play(write(tmp_path / "r", [*events_of(stream, "once"), *events_of(stream, "once")]), sink)

    assert sink.text() == "once"
    assert not caplog.records


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited each time, on a clock that goes no further than somebody waits."""
    clock = [100.0]
    pauses: list[float] = []

    class News(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            if not self.is_set():
                pauses.append(round(timeout, 3))
                clock[0] += timeout
            return self.is_set()

    monkeypatch.setattr("streamfan.sources.recording.threading", SimpleNamespace(Event=News))
    monkeypatch.setattr("streamfan.sources.recording.monotonic", lambda: clock[0])
    return pauses


def timed(stream: StreamInfo, *seconds: float) -> list[Event]:
    """The events of a stream that came so late: texts that say how late, and the end."""
    texts = [f"{late:g} " for late in seconds[:-1]]
    times = [stream.time + timedelta(seconds=late) for late in seconds]
    written = [replace(Text.of(it), time=time) for it, time in zip(chunks(stream, *texts), times, strict=False)]
    return [Start.of(stream), *written, replace(ending(stream, "".join(texts)), time=times[-1])]


def test_rhythm_is_kept_at_the_speed_that_was_asked_for(tmp_path: Path, pauses: list[float]) -> None:
    play(write(tmp_path / "r", timed(info(), 2, 6, 7)), MemorySink(), speed=2)

    assert pauses == [1, 2, 0.5]


def test_rhythm_is_kept_after_a_stream_that_was_cancelled_then(tmp_path: Path, pauses: list[float]) -> None:
    first = info("a")
    *text, end = timed(first, 1, 2)
    assert isinstance(end, End)
    cancelled = replace(end, finish_reason="cancelled", cancel=Cancellation("enough", "alice"))
    later = timed(replace(info("b"), time=first.time + timedelta(seconds=2)), 1, 3)

    play(write(tmp_path / "r", [*text, cancelled, *later]), MemorySink(), speed=1)

    assert pauses == [1, 1, 1, 2]


def test_nobody_waits_for_the_day_on_which_the_next_stream_was_recorded(tmp_path: Path, pauses: list[float]) -> None:
    first = info("a")
    later = timed(replace(info("b"), time=first.time + timedelta(days=1)), 3, 4)

    play(write(tmp_path / "r", [*timed(first, 1, 2), *later]), MemorySink(), speed=1)

    assert pauses == [1, 1, 3, 1]


def test_stream_that_is_cancelled_now_ends_at_once_and_the_others_keep_their_rhythm(tmp_path: Path) -> None:
    first = info("a")
    one, other = timed(first, 0, 3600, 3600), timed(replace(info("b"), time=first.time), 0, 0.3, 0.3)

    class Cancelling(MemorySink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            if chunk.stream.id == "a":
                chunk.stream.cancel("enough", by="test")

    sink = Cancelling()
    report = play(write(tmp_path / "r", [*one[:2], *other, *one[2:]]), sink, speed=1)

    assert (sink.text("a"), sink.text("b")) == ("0 ", "0 0.3 ")
    assert {stream.id: stream.finish_reason for stream in report.streams} == {"a": "cancelled", "b": "stop"}
    (late,) = (chunk for chunk in sink.chunks if chunk.text == "0.3 ")
    assert late.time - late.stream.time > timedelta(seconds=0.2)


def test_cancelling_ends_a_recording_early(tmp_path: Path) -> None:
    stream = info()
    events = events_of(stream, *"abc")
    timed = [event for event in events if isinstance(event, Text | End)]
    late = [replace(event, time=stream.time + timedelta(hours=n)) for n, event in enumerate(timed)]

    class Cancelling(MemorySink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            chunk.stream.cancel("enough", by="test")

    sink = Cancelling()
    # The first piece comes at once, the next one would in an hour.
    report = play(write(tmp_path / "r", [events[0], *late]), sink, speed=1)

    assert (sink.text(), report.streams[0].finish_reason) == ("a", "cancelled")


def test_stream_that_was_cut_over_two_files_comes_out_whole(tmp_path: Path) -> None:
    events = events_of(info(), "one ", "two ", "three")
    first, second = write(tmp_path / "1", events[:2]), write(tmp_path / "2", events[2:])
    sink = MemorySink()

    report = play(first, sink, then=(second,))

    assert (sink.text(), report.streams[0].finish_reason) == ("one two three", "stop")


def test_files_that_are_compressed_are_read_too(tmp_path: Path) -> None:
    events = events_of(info(), "one ", "two ")
    first, second = write(tmp_path / "1", events[:2]), write(tmp_path / "2", events[2:])
    Path(first).write_bytes(gzip.compress(Path(first).read_bytes()))
    sink = MemorySink()

    play(first, sink, then=(second,))

    assert sink.text() == "one two "


@pytest.mark.parametrize(
    "damaged", [lambda data: data[:-10], lambda data: data[:-8] + bytes(8), lambda data: data[:30] + bytes(99)]
)
def test_compressed_file_that_is_damaged_fails_what_it_lacks(tmp_path: Path, damaged: Callable[[bytes], bytes]) -> None:
    data = b"".join(encode(event) + b"\n" for event in events_of(info(), "text"))
    (tmp_path / "r").write_bytes(damaged(gzip.compress(data)))

    with pytest.raises(SourceError, match="cannot be read any further than line "):
        play(str(tmp_path / "r"), MemorySink())


def test_damage_is_named_with_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (
        write(tmp_path / "1", events_of(info("a"), "a")),
        write(tmp_path / "2", [b"{", *events_of(info(), "b")]),
    )

    play(first, MemorySink(), then=(second,))

    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith(f"{second}, line 1 was left out: ")


def test_mark_at_the_beginning_of_a_file_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = Path(write(tmp_path / "r", events_of(info(), "text")))
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    sink = MemorySink()

    play(str(path), sink)

    assert (sink.text(), caplog.text) == ("text", "")


class Endless:
    """A file without a line's end; it knows how much was asked for at a time."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def readline(self, size: int, /) -> bytes:
        self.asked.append(size)
        return b"x" * size


def test_line_without_an_end_is_not_read_into_memory() -> None:
    file = Endless()

    with pytest.raises(WireError, match="line 1 is longer than 64 MiB"):
        list(read_lines(file))
    assert file.asked == [LONGEST_LINE + 1]


@pytest.mark.parametrize("packed", [False, True])
def test_line_that_is_too_long_is_named_with_its_file_and_what_came_before_is_published(
    tmp_path: Path, packed: bool
) -> None:
    path = Path(write(tmp_path / "r", events_of(info(), "text")))
    # All of it would be twice as much.
    data = path.read_bytes() + b"0" * (2 * LONGEST_LINE)
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    sink = MemorySink()

    with pytest.raises(SourceError, match=r"/r' cannot be read on: line 4 is longer than 64 MiB"):
        play(str(path), sink)

    assert sink.text() == "text"


def test_no_file_is_begun_where_one_cannot_be_read(tmp_path: Path) -> None:
    sink = MemorySink()

    with pytest.raises(UsageError, match="nothing' cannot be read: No such file"):
        play(write(tmp_path / "1", events_of(info(), "text")), sink, then=(str(tmp_path / "nothing"),))

    assert not sink.chunks


def test_recording_can_come_through_a_pipe(tmp_path: Path) -> None:
    data = b"".join(encode(event) + b"\n" for event in events_of(info(), "héllo ", "☕"))
    read, written = os.pipe()
    os.write(written, data)
    os.close(written)
    sink = MemorySink()

    play(f"/dev/fd/{read}", sink)

    os.close(read)
    assert sink.text() == "héllo ☕"


def test_fan_that_is_cancelled_is_given_no_later_stream(tmp_path: Path) -> None:
    lines = [encode(event) + b"\n" for event in (*events_of(info("a"), "one"), *events_of(info("b"), "two"))]
    read, written = os.pipe()
    source, sink = RecordingSource(f"/dev/fd/{read}"), MemorySink()
    source.load(Request())
    with Fan(sink) as fan:
        thread = threading.Thread(target=source.run, args=(fan, Request()))
        thread.start()
        os.write(written, b"".join(lines[:2]))
        wait_for(sink.written)
        fan.cancel("enough", by="test")
        os.write(written, b"".join(lines[2:]))
        os.close(written)
        thread.join(DEADLINE)
    os.close(read)

    assert [(stream.id, stream.finish_reason) for stream in fan.report.streams] == [("a", "cancelled")]


def test_fan_that_is_closed_meanwhile_ends_the_recording_quietly(tmp_path: Path) -> None:
    lines = [encode(event) + b"\n" for event in events_of(info(), "one ", "two ")]
    read, written = os.pipe()
    source, sink = RecordingSource(f"/dev/fd/{read}"), MemorySink()
    source.load(Request())
    with Fan(sink) as fan, ThreadPoolExecutor(1) as pool:
        running = pool.submit(source.run, fan, Request())
        os.write(written, b"".join(lines[:2]))
        wait_for(sink.written)
        fan.finish()
        os.write(written, b"".join(lines[2:]))
        os.close(written)
        running.result(DEADLINE)
    os.close(read)

    assert sink.text() == "one "
    assert "the fan was closed" in str(fan.report.streams[0].error)


def test_text_of_a_stream_that_has_ended_is_let_go(tmp_path: Path) -> None:
    fields = [events_of(info(id), "text of " + id) for id in "abc"]
    read, written = os.pipe()
    source, sink = RecordingSource(f"/dev/fd/{read}"), MemorySink()
    source.load(Request())
    held: list[weakref.ref[Stream]] = []
    with Fan(sink) as fan, ThreadPoolExecutor(1) as pool:
        fan.observe(lambda stream, report: held.append(weakref.ref(stream)))
        running = pool.submit(source.run, fan, Request())
        os.write(written, b"".join(encode(event) + b"\n" for events in fields[:2] for event in events))
        # The thread of the observers has the last one in its hands.
        wait_until(lambda: len(held) == 2 and held[0]() is None)
        os.write(written, b"".join(encode(event) + b"\n" for event in fields[2]))
        os.close(written)
        running.result(DEADLINE)
    os.close(read)

    assert sink.text() == "text of atext of btext of c"


def test_attempt_that_comes_after_a_later_one_is_named_once_and_fails_the_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    early, late = info(), info()
    sink = MemorySink()

    with pytest.raises(SourceError, match="has attempts that could not be published: 1"):
        play(write(tmp_path / "r", [*events_of(late, "late"), *events_of(early, *"early")]), sink)

    assert sink.text() == "late"
    (told,) = (record.getMessage() for record in caplog.records)
    assert f", line 4 was left out: attempt {early.attempt} of stream 's' is not later" in told


def test_gap_alone_begins_no_stream_and_what_follows_it_fails(tmp_path: Path, pauses: list[float]) -> None:
    stream = info()
    gap = Gap(stream=stream.id, attempt=stream.attempt, offset=0, end=4)
    rest = Text.of(Chunk(stream, 4, b"rest"))

    report = play(write(tmp_path / "r", [gap, rest, ending(stream, "textrest")]), MemorySink(), speed=1)

    assert "lacks its text from byte 0 to byte 4 (line 2)" in str(report.streams[0].error)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")

    with pytest.raises(SourceError, match="has no stream in it"):
        play(str(tmp_path / "empty"), MemorySink())
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        play(str(tmp_path / "nothing"), MemorySink())
    with pytest.raises(UsageError, match="needs a file"):
        RecordingSource()


def test_time_that_is_the_last_there_is_costs_no_text(tmp_path: Path) -> None:
    last = replace(info(), time=datetime.max.replace(tzinfo=UTC))
    sink = MemorySink()

    report = play(write(tmp_path / "r.jsonl", events_of(last, "text")), sink)

    assert (sink.text(), report.streams[0].finish_reason, report.failures) == ("text", "stop", ())
