"""A lane that is too far behind: it fails, makes the publisher wait, or skips, as its options say."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import ConfigError, Retryable
from streamfan.events import Gap, Text
from streamfan.fan import Fan
from streamfan.options import LaneOptions, WhenFull
from streamfan.report import State
from streamfan.sinks.callback import Callback
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.faults import injects
from tests.support.sinks import FailingSink, GatedSink, MemorySink, always, wait_for, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan.events import Chunk, End, Event, StreamInfo
    from streamfan.stream import Stream

LIMIT = 1000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan.lane.backlog._PATIENCE", 0.2)
    monkeypatch.setattr("streamfan.lane.backlog._LOOK", 0.01)
    monkeypatch.setattr("streamfan.dispatcher._LONGEST_SLEEP", 0.05)


def small(when_full: WhenFull = "fail", **options: object) -> LaneOptions:
    return LaneOptions.model_validate({"buffer_bytes": LIMIT, "when_full": when_full, "max_bytes": 500, **options})


class GapSink(GatedSink):
    """A gated sink that accepts gaps."""

    accepts_gaps = True

    def __init__(self, *blocking: str) -> None:
        super().__init__(*blocking)
        self.gaps: list[Gap] = []

    def gap(self, gap: Gap) -> None:
        self.calls.append("gap")
        self.gaps.append(gap)


def write_in_thread(stream: Stream, text: str) -> threading.Event:
    """Write to a stream that may make its writer wait; the event says that it did not, or not any more."""
    written = threading.Event()

    def write() -> None:
        stream.write(text)
        written.set()

    threading.Thread(target=write, daemon=True).start()
    return written


# fail


def test_hung_sink_that_is_too_far_behind_is_given_up_and_says_how_far_and_why() -> None:
    sink, healthy = GatedSink("write"), MemorySink()
    with Fan(healthy) as fan:
        fan.add(sink, lane=small())
        with fan.open() as stream:
            stream.write("first")
            wait_for(sink.inside)
            stream.write("x" * LIMIT)
            wait_until(lambda: fan.report.sinks[1].state is State.FAILED)
            (delivery,) = (each for each in fan.report.streams[0].deliveries if each.sink == "gated")

            sink.gate.set()
            wait_for(sink.written)

    assert delivery.error is not None
    assert delivery.error.startswith("1,005 bytes behind, of 1,005 in all, without progress for 0.")
    assert "buffer_bytes is 1,000, and when_full is fail\nTry: a larger buffer_bytes" in delivery.error
    assert (sink.text(), [end.complete for end in sink.ends]) == ("first", [False]), "a valid prefix, and its close"
    assert healthy.text() == "first" + "x" * LIMIT
    assert [report.id for report in fan.report.failures] == ["gated"]


def test_text_of_streams_that_were_given_up_is_freed_while_the_call_hangs() -> None:
    sink = GatedSink("write")
    told: list[str] = []
    with Fan() as fan:
        fan.observe(lambda stream, _: told.append(stream.id))
        fan.add(sink, lane=small())
        held, *others = (fan.open() for _ in range(4))
        gone = [weakref.ref(stream) for stream in others]
        wait_until(lambda: sink.calls.count("open") == 4)
        held.write("held")
        wait_for(sink.inside)
        for stream in others:
            stream.write("opened, and behind")
            stream.end()
        others.clear()
        with fan.open() as stream:
            stream.write("x" * LIMIT)
        gone.append(weakref.ref(stream))
        del stream

        wait_until(lambda: fan.report.finished == 4)
        with fan.open() as last:
            # The observers' thread holds the last one it has told of; this one lane is given up again.
            last.write("y" * 2 * LIMIT)
        wait_until(lambda: len(told) == 5)
        gc.collect()
        freed = [reference() is None for reference in gone]
        inside = not sink.gate.is_set()
        sink.gate.set()

    assert (freed, inside) == ([True] * 4, True)
    assert sink.calls.count("open") == sink.calls.count("close"), "what was opened is closed"


def test_stream_that_is_given_up_while_it_is_opened_is_closed_when_that_has_returned() -> None:
    sink = GatedSink("open")
    with Fan() as fan:
        fan.add(sink, lane=small())
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan.report.sinks[0].state is State.FAILED)
            sink.gate.set()

    assert sink.calls == ["connect", "open", "close", "disconnect"]
    assert not sink.ends[0].complete


def test_stream_that_is_given_up_while_its_sink_says_how_large_it_is_is_closed() -> None:
    class Weighing(GatedSink):
        def size(self, text: str) -> int:
            self._pass("size")
            return len(text)

    sink = Weighing("size")
    with Fan() as fan:
        fan.add(sink, lane=small(linger=0))
        (lane,) = fan._lanes
        stream = fan.open()
        stream.write("x" * (LIMIT + 1))
        wait_until(lambda: lane.state is State.FAILED)
        stream.end()
        sink.gate.set()

    assert sink.calls == ["connect", "open", "close", "disconnect"]
    assert "bytes behind" in str(fan.report.streams[0].deliveries[0].error)


def test_lane_that_hangs_while_text_flows_is_soon_found_to_be_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looks who was not asked to.
    monkeypatch.setattr("streamfan.dispatcher._LONGEST_SLEEP", 3600.0)
    sink = GatedSink()
    with Fan() as fan:
        fan.add(sink, lane=small(linger=0.02))
        (lane,) = fan._lanes
        with fan.open() as stream:
            # Until nobody rings for it any more.
            while not lane._serving.pace.flows or fan._dispatcher._eager < inf:
                stream.write("a")
                time.sleep(0.001)
            sink.blocking = ("write",)
            stream.write("a")
            wait_for(sink.inside)
            stream.write("a" * (LIMIT + 1))
            wait_until(lambda: lane.state is State.FAILED)
            sink.gate.set()

    assert "bytes behind" in str(fan.report.streams[0].deliveries[0].error)


@pytest.mark.guarantee("any sink", "slow")
def test_sink_that_is_slow_but_makes_progress_may_be_any_far_behind() -> None:
    turn = threading.Semaphore(0)
    take_turn = injects(turn.acquire)

    class Slow(MemorySink):
        def write(self, chunk: Chunk) -> None:
            take_turn(timeout=10)
            super().write(chunk)

        def has(self, chunks: int) -> bool:
            return len(self.chunks) >= chunks

    sink = Slow()
    with Fan() as fan:
        fan.add(sink, lane=small())
        with fan.open() as stream:
            stream.write("x" * 10 * LIMIT)
            for taken in range(1, 9):
                threading.Event().wait(0.05)
                turn.release()
                wait_until(partial(sink.has, taken))
        turn.release(1000)

    assert sink.text() == "x" * 10 * LIMIT
    assert not fan.report.failures
    assert fan.report.sinks[0].max_lag > 0.3


@pytest.mark.parametrize("lane", [small(boundary="all"), small(sequential=True)])
def test_text_that_waits_as_it_was_wanted_is_not_behind(lane: LaneOptions) -> None:
    sink = MemorySink()
    with Fan() as fan:
        fan.add(sink, lane=lane)
        with fan.open() as first, fan.open() as second:
            second.write("x" * 3 * LIMIT)
            if not lane.sequential:
                first.write("y" * 3 * LIMIT)
            threading.Event().wait(0.5)
            assert fan.report.sinks[0].state is State.OK

    assert len(sink.text()) == first.length + second.length
    assert not fan.report.failures


def test_sink_that_fails_again_and_again_is_given_up_too_although_it_opens() -> None:
    sink = FailingSink(always("write", Retryable("busy", after=0.01)))
    with Fan() as fan:
        fan.add(sink, lane=small())
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan.report.sinks[0].state is State.FAILED)

    assert "bytes behind" in str(fan.report.sinks[0])


def test_lane_that_was_given_up_serves_later_streams() -> None:
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, lane=small())
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan.report.sinks[0].state is State.FAILED)
        sink.gate.set()
        wait_for(sink.closed)
        with fan.open() as later:
            later.write("later")

    assert sink.text(later.id) == "later"
    assert fan.report.sinks[0].complete == 1


# block


def test_publisher_waits_for_a_sink_that_wants_it_and_nothing_is_lost() -> None:
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, lane=small("block"))
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_for(sink.inside)
            wait_until(lambda: fan._dispatcher.brake.on)
            written = write_in_thread(stream, "more")
            waited = not written.wait(0.3)
            sink.gate.set()
            wait_for(written)

    assert waited
    assert sink.text() == "x" * 2 * LIMIT + "more"
    assert not fan.report.failures


@pytest.mark.parametrize("way", ["cancel", "end", "finish"])
def test_publisher_that_waits_goes_on_when_nobody_wants_its_text(way: str) -> None:
    sink = GatedSink("write")
    fan = Fan()
    fan.add(sink, lane=small("block"))
    stream = fan.open()
    stream.write("x" * 2 * LIMIT)
    wait_until(lambda: fan._dispatcher.brake.on)
    written = write_in_thread(stream, "more")
    assert not written.wait(0.1)

    match way:
        case "cancel":
            stream.cancel()
        case "end":
            stream.end()
        case _:
            fan.finish()

    wait_for(written)
    sink.gate.set()
    fan.close()
    assert stream.text.endswith("more"), "what was written is there, also where its writer did not wait to the end"


def test_publisher_does_not_wait_for_ever_for_a_hung_sink() -> None:
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, lane=small("block", call_timeout=0.3))
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._dispatcher.brake.on)
            stream.write("more")
            assert not fan._dispatcher.brake.on
            assert "when_full is block" in str(fan.report.sinks[0])
        sink.gate.set()


def test_publisher_goes_on_when_the_sink_it_waits_for_fails() -> None:
    class Failing(GatedSink):
        def write(self, chunk: Chunk) -> None:
            self._pass("write")
            raise ValueError("broken")

    sink = Failing("write")
    with Fan() as fan:
        fan.add(sink, lane=small("block"))
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._dispatcher.brake.on)
            written = write_in_thread(stream, "more")
            assert not written.wait(0.1)

            sink.gate.set()

            wait_for(written)


def test_sink_that_publishes_does_not_wait_for_itself() -> None:
    class Publishing(MemorySink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            if chunk.stream.row == 0:
                wait_until(lambda: fan._dispatcher.brake.on)
                other.write("x" * 2 * LIMIT)

    sink = Publishing()
    with Fan() as fan:
        fan.add(sink, lane=small("block", max_bytes=10 * LIMIT))
        other = fan.open(row=1)
        with other, fan.open(row=0) as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: len(sink.text()) == 4 * LIMIT)

    assert not fan.report.failures


# skip


def test_hung_sink_that_skips_goes_on_at_the_end_and_is_told_of_the_gap() -> None:
    sink = GapSink("write")
    with Fan() as fan:
        fan.add(sink, lane=small("skip", linger=0))
        with fan.open() as stream:
            stream.write("first")
            wait_for(sink.inside)
            stream.write("é" * LIMIT)
            wait_until(lambda: fan._lanes[0]._ledger.cursors[0]._skip_to)
            sink.gate.set()
            wait_until(lambda: sink.gaps)
            stream.write("last")

    (gap,) = sink.gaps
    assert (gap.stream, gap.attempt) == (stream.id, stream.attempt)
    assert (gap.offset, gap.end) == (5, 5 + 2 * LIMIT)
    assert [(chunk.offset, chunk.text) for chunk in sink.chunks] == [(0, "first"), (gap.end, "last")]
    assert not sink.ends[0].complete
    (delivery,) = fan.report.streams[0].deliveries
    assert (delivery.skipped, delivery.missing, delivery.complete, delivery.sha256) == (2 * LIMIT, 0, False, None)
    assert (delivery.error, fan.report.sinks[0].skipped, fan.report.sinks[0].failed) == (None, 2 * LIMIT, True)
    assert "2,000 bytes skipped" in str(fan.report.sinks[0])


def test_gap_that_fails_is_told_again_as_it_was() -> None:
    told: list[Gap] = []

    class Flaky(GapSink):
        def gap(self, gap: Gap) -> None:
            told.append(gap)
            if len(told) == 1:
                raise Retryable("busy")
            super().gap(gap)

    sink = Flaky("write")
    with Fan() as fan:
        fan.add(sink, lane=small("skip"))
        with fan.open() as stream:
            stream.write("first")
            wait_for(sink.inside)
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._lanes[0]._ledger.cursors[0]._skip_to)
            sink.gate.set()
            wait_until(lambda: sink.gaps)

    assert told[0] == told[1]
    assert fan.report.sinks[0].skipped == 2 * LIMIT


def test_hung_sink_that_skips_is_given_up_in_the_end_for_it_frees_nothing() -> None:
    sink = GapSink("write")
    with Fan() as fan:
        fan.add(sink, lane=small("skip", call_timeout=0.4))
        with fan.open() as stream:
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan.report.sinks[0].state is State.FAILED)
            assert "when_full is skip" in str(fan.report.sinks[0])
        sink.gate.set()


@pytest.mark.parametrize(
    "sink", [MemorySink(), Callback(lambda text, end: None), FileSink("a.txt")], ids=lambda sink: sink.name
)
def test_sink_that_accepts_no_gaps_cannot_skip(sink: MemorySink) -> None:
    with Fan() as fan, pytest.raises(ConfigError, match=r"'x' cannot skip text: .*\n.*when_full = fail"):
        fan.add(sink, id="x", lane=small("skip"))


def test_callback_gets_a_gap_as_an_event() -> None:
    gate, inside = threading.Event(), threading.Event()
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        if isinstance(event, Text) and not gate.is_set():
            inside.set()
            gate.wait()

    with Fan() as fan:
        fan.add(Callback(take, events=True), lane=small("skip"))
        with fan.open() as stream:
            stream.write("first")
            wait_for(inside)
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._lanes[0]._ledger.cursors[0]._skip_to)
            gate.set()

    assert [event.type for event in events] == ["start", "text", "gap", "end"]


def test_file_of_events_holds_the_gap_and_goes_on_behind_it(tmp_path: Path) -> None:
    gate, inside = threading.Event(), threading.Event()

    class Gated(FileSink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            if not gate.is_set():
                inside.set()
                gate.wait()

    path = tmp_path / "events.jsonl"
    with Fan() as fan:
        fan.add(Gated(str(path), FileOptions(format="jsonl")), lane=small("skip", linger=0))
        with fan.open() as stream:
            stream.write("first")
            wait_for(inside)
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._lanes[0]._ledger.cursors[0]._skip_to)
            gate.set()
            wait_until(lambda: fan.report.sinks[0].skipped)
            stream.write("last")

    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["type"] for event in events] == ["start", "text", "gap", "text", "end"]
    assert [events[2][key] for key in ("offset", "end")] == [5, 5 + 2 * LIMIT] == [5, events[3]["offset"]]
    assert not events[-1]["complete"]


def test_exactly_once_sink_that_holds_the_gap_is_not_told_again() -> None:
    class Holding(GapSink):
        held = 0

        def open(self, stream: StreamInfo) -> int | None:
            super().open(stream)
            return self.held

        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            self.held = chunk.end

        def gap(self, gap: Gap) -> None:
            super().gap(gap)
            self.held = gap.end
            raise ConnectionResetError("it has it, and nobody knows")

        def close(self, stream: StreamInfo, end: End) -> None:
            super().close(stream, end)

    sink = Holding("write")
    with Fan() as fan:
        fan.add(sink, lane=small("skip"))
        with fan.open() as stream:
            stream.write("first")
            wait_for(sink.inside)
            stream.write("x" * 2 * LIMIT)
            wait_until(lambda: fan._lanes[0]._ledger.cursors[0]._skip_to)
            sink.gate.set()

    assert len(sink.gaps) == 1
    assert (fan.report.sinks[0].skipped, fan.report.sinks[0].missing) == (2 * LIMIT, 0)
