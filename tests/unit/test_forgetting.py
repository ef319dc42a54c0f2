"""Streams without an end: text that everybody has is let go of, and who comes too late for it is told."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan import Chunk, Fan, LaneOptions, Sink, StreamInfo
from streamfan.errors import HistoryTrimmed
from streamfan.source import Request
from streamfan.sources import stdin
from streamfan.sources.stdin import StdinSource
from tests.support.sinks import DEADLINE, wait_for, wait_until
from tests.support.streams import silent_stream

if TYPE_CHECKING:
    from streamfan import End


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.integers(0, 3)), min_size=1), st.data())
def test_what_is_kept_is_as_it_was(writes: list[tuple[str, int]], data: st.DataObject) -> None:
    stream, whole = silent_stream(), silent_stream()
    number = 0
    for text, ids in writes:
        for each in (stream, whole):
            each.write(text, range(number, number + ids))
        number += ids
        stream.forget(data.draw(st.integers(0, stream.length)))
    for each in (stream, whole):
        each.end()

    start = stream.start
    assert stream.read(start) == whole.read(0)[start:]
    assert stream.pieces(stream.length) == whole.pieces(whole.length)
    rest, same = stream.chunk(start, stream.read(start)), whole.chunk(start, whole.read(start))
    assert rest.token_ids == same.token_ids
    assert [chunk.offset for chunk in stream.chunks()] == [it.offset for it in whole.chunks() if it.offset >= start]
    outcome, expected = stream.outcome, whole.outcome
    assert outcome is not None
    assert expected is not None
    assert (outcome.sha256, outcome.offset, outcome.tokens) == (expected.sha256, expected.offset, expected.tokens)
    assert (stream.intervals is None) == (whole.intervals is None)
    if stream.intervals is not None and whole.intervals is not None:
        assert (stream.intervals.unit, stream.intervals.count) == (whole.intervals.unit, whole.intervals.count)


def test_who_reads_what_is_not_kept_is_told() -> None:
    stream = silent_stream()
    stream.write("a" * 100)
    stream.write("b")
    stream.forget(100)
    stream.end()

    assert stream.start == 100
    assert list(stream.follow(100)) == ["b"]
    for read in (lambda: stream.text, lambda: list(stream), lambda: stream.read(99)):
        with pytest.raises(HistoryTrimmed, match="to byte 100"):
            read()


def test_what_would_be_copied_again_and_again_stays() -> None:
    stream = silent_stream()
    stream.write("a")
    stream.write("b" * 100)

    stream.forget(1)

    assert stream.start == 0


class Keeping(Sink):
    """Keeps all text; holds `held` of a stream where it is asked."""

    name = "keeping"

    def __init__(self) -> None:
        super().__init__()
        self.text = b""
        self.held: int | None = None
        self.error: Exception | None = None
        self.may_write = threading.Event()
        self.may_write.set()

    def open(self, stream: StreamInfo) -> int | None:
        return self.held

    def write(self, chunk: Chunk) -> None:
        wait_for(self.may_write)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.text += chunk.data

    def close(self, stream: StreamInfo, end: End) -> None: ...


def test_text_is_kept_as_long_as_a_sink_needs_it() -> None:
    quick, slow = Keeping(), Keeping()
    slow.may_write.clear()
    with Fan(quick) as fan:
        fan.add(slow, id="slow")
        with fan.open() as stream:
            stream.write("a" * 1000)
            stream.write("b")
            wait_until(lambda: len(quick.text) == 1001)
            fan.forget(stream, keep=0)
            kept = stream.start
            slow.may_write.set()
            wait_until(lambda: len(slow.text) == 1001)
            wait_until(lambda: _forgotten(fan, stream) == 1000)
            stream.write("c")

    assert kept == 0
    assert quick.text == slow.text == b"a" * 1000 + b"bc"
    (report,) = fan.report.streams
    expected = hashlib.sha256(quick.text).hexdigest()
    assert {report.sha256, *(delivery.sha256 for delivery in report.deliveries)} == {expected}


def _forgotten(fan: Fan, stream: object) -> int:
    fan.forget(stream, keep=0)  # type: ignore[arg-type]
    return stream.start  # type: ignore[attr-defined,no-any-return]


def test_sink_that_comes_too_late_fails_this_stream_and_is_told_why() -> None:
    first, late = Keeping(), Keeping()
    with Fan(first) as fan:
        with fan.open() as stream:
            stream.write("a" * 1000)
            stream.write("b")
            wait_until(lambda: _forgotten(fan, stream) == 1000)
            fan.add(late, id="late")
            wait_until(lambda: bool(fan.report.sinks[1].error))
            stream.write("c")
        with fan.open() as stream:
            stream.write("another")

    assert "the text before byte 1,000 is not kept any more" in str(fan.report.sinks[1].error)
    assert late.text == b"another"
    assert first.text.endswith(b"bcanother")


@pytest.mark.parametrize("held", [0, 500])
def test_destination_that_has_lost_what_is_not_kept_fails_the_stream(held: int) -> None:
    sink = Keeping()
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(max_elapsed=DEADLINE))
        with fan.open() as stream:
            stream.write("a" * 1000)
            stream.write("b")
            wait_until(lambda: _forgotten(fan, stream) == 1000)
            sink.error, sink.held = ConnectionError("gone"), held
            stream.write("c")
            wait_until(lambda: bool(fan.report.sinks[0].error))

    assert f"open() returned {held}" in str(fan.report.sinks[0].error)


def test_nothing_is_let_go_of_while_somebody_observes() -> None:
    texts: list[str] = []
    with Fan(Keeping()) as fan:
        fan.observe(lambda stream, report: texts.append(stream.text))
        with fan.open() as stream:
            stream.write("a" * 1000)
            wait_until(lambda: fan.report.sinks[0].bytes == 1000)
            fan.forget(stream, keep=0)

    assert texts == ["a" * 1000]


def test_text_is_let_go_of_where_observers_do_without() -> None:
    starts: list[int] = []
    with Fan(Keeping()) as fan:
        fan.observe(lambda stream, report: starts.append(stream.start), keep_text=False)
        with fan.open() as stream:
            stream.write("a" * 1000)
            stream.write("b")
            wait_until(lambda: _forgotten(fan, stream) == 1000)

    assert starts == [1000]


def test_standard_input_without_an_end_needs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty times as much text as is kept goes through; what is there at the end, and at most, is a part of it."""
    monkeypatch.setattr(stdin, "_KEEP", 1 << 20)
    block, count = b"endless " * 8192, 480
    reader, writer = os.pipe()
    saved = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    sha256 = hashlib.sha256(block * count).hexdigest()

    def write() -> None:
        for _ in range(count):
            sent = 0
            while sent < len(block):
                sent += os.write(writer, block[sent:])
            # The sinks keep up: nobody can let go of what they have not taken.
            wait_until(lambda: all(sink.metrics.buffer_bytes < 1 << 20 for sink in fan.report.sinks))
        os.close(writer)

    try:
        tracemalloc.start()
        with Fan(lambda text, end: None) as fan:
            thread = threading.Thread(target=write)
            thread.start()
            StdinSource().run(fan, Request())
            thread.join()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        os.dup2(saved, 0)
        os.close(saved)

    (report,) = fan.report.streams
    assert (report.bytes, report.sha256, report.deliveries[0].missing) == (len(block) * count, sha256, 0)
    assert peak < len(block) * count / 3
