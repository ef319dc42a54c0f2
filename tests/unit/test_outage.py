"""Many streams in one lane whose destination fails: each by itself, and one probe for all where it is down."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.report import State
from tests.support.sinks import FailingSink, GatedSink, MemorySink, always, wait_for, wait_until

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, StreamInfo

STREAMS = 200
DOWN = ConnectionRefusedError("down")
# Five streams meet the outage for themselves, and then one tries for all: at 0.05, 0.15, 0.35 s on average, and so on.
A_FEW = 40


class Destination(FailingSink):
    """Counts what is tried, by method; down whenever it is told so."""

    def __init__(self, *methods: str) -> None:
        super().__init__(lambda method, _: DOWN if self.down and method in methods else None)
        self.down = False
        self.opened: set[str] = set()

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        self.opened.add(stream.id)
        return None

    def tries(self, method: str) -> int:
        return sum(call in {method, f"{method} failed"} for call in list(self.calls))


def publish(fan: Fan) -> None:
    for row in range(STREAMS):
        with fan.open(row=row) as stream:
            stream.write(f"row {row}")


def test_one_stream_tries_a_destination_that_is_down_for_all_of_them() -> None:
    sink = Destination("open", "write", "close")
    sink.down = True
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(max_elapsed=1))
        publish(fan)

    assert sink.tries("open") <= A_FEW
    assert [sink.complete for sink in fan.report.sinks] == [0]
    assert {report.deliveries[0].error for report in fan.report.streams} == {"ConnectionRefusedError: down"}


def test_streams_that_were_open_when_it_went_down_are_no_storm_either() -> None:
    sink = Destination("open", "write", "close")
    with Fan() as fan, ExitStack() as stack:
        fan.add(sink, lane=LaneOptions(max_elapsed=1, linger=0))
        streams = [stack.enter_context(fan.open(row=row)) for row in range(STREAMS)]
        for stream in streams:
            stream.write("first ")
        wait_until(lambda: len(sink.chunks) == STREAMS)
        sink.down = True
        before = sink.tries("open") + sink.tries("write")
        for stream in streams:
            stream.write("second")
        wait_until(lambda: all(report.deliveries[0].error for report in fan.report.streams))
        tried = sink.tries("open") + sink.tries("write") - before
        sink.down = False

    assert tried <= A_FEW
    assert sink.tries("close") == STREAMS, "what is open is closed, now that it works again"


def test_destination_that_is_back_is_given_everything() -> None:
    sink = Destination("open", "write", "close")
    sink.down = True
    with Fan() as fan:
        fan.add(sink)
        publish(fan)
        wait_until(lambda: sink.tries("open") >= 7)
        sink.down = False

    assert fan.report.sinks[0].complete == STREAMS
    assert sorted(chunk.text for chunk in sink.chunks) == sorted(f"row {row}" for row in range(STREAMS))


def test_destination_that_opens_and_takes_nothing_is_down_too() -> None:
    sink = Destination("write")
    sink.down = True
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(max_elapsed=1))
        publish(fan)

    assert sink.tries("write") <= A_FEW
    assert {end.stream for end in sink.ends} == sink.opened, "what was opened is closed"


def test_that_streams_can_be_opened_hides_no_outage() -> None:
    """However slowly they come: each that is new is opened, and its text is not taken."""
    sink = Destination("write")
    sink.down = True
    with Fan() as fan, ExitStack() as stack:
        fan.add(sink, lane=LaneOptions(max_elapsed=5, linger=0))
        outage = fan._lanes[0]._serving._outage
        for row in range(A_FEW):
            if outage.on:
                break
            stack.enter_context(fan.open(row=row)).write("text")
            wait_until(lambda: all(report.deliveries[0].retries for report in fan.report.streams) or outage.on)
        on = outage.on
        sink.down = False

    assert on
    assert row <= 6


def test_connecting_is_one_probe_for_all_streams() -> None:
    sink = FailingSink(always("connect", DOWN))
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(connect_timeout=0.1, max_elapsed=0.5))
        fan.reach()
        publish(fan)

    assert sink.calls.count("connect failed") <= A_FEW
    assert "open" not in sink.calls


def test_refused_streams_are_no_outage() -> None:
    class Picky(MemorySink):
        def write(self, chunk: Chunk) -> None:
            if chunk.stream.row % 2:
                raise Permanent("not this one")
            super().write(chunk)

    sink = Picky()
    with Fan(sink) as fan:
        publish(fan)

    assert fan.report.sinks[0].complete == STREAMS // 2
    assert {report.deliveries[0].error for report in fan.report.streams if report.row % 2} == {"not this one"}


def test_streams_that_each_fail_for_a_while_are_all_delivered() -> None:
    failures: dict[tuple[str, int], int] = {}

    class Moody(MemorySink):
        """Each of its methods fails twice for every third stream."""

        def _mood(self, method: str, stream: StreamInfo) -> None:
            key = (method, stream.row)
            failures[key] = failures.get(key, 0) + 1
            if stream.row % 3 == 0 and failures[key] <= 2:
                raise Retryable("busy")

        def open(self, stream: StreamInfo) -> int | None:
            self._mood("open", stream)
            return super().open(stream)

        def write(self, chunk: Chunk) -> None:
            self._mood("write", chunk.stream)
            super().write(chunk)

        def close(self, stream: StreamInfo, end: End) -> None:
            self._mood("close", stream)
            super().close(stream, end)

    sink = Moody()
    with Fan(sink) as fan:
        publish(fan)

    assert fan.report.sinks[0].complete == STREAMS
    assert sorted(chunk.text for chunk in sink.chunks) == sorted(f"row {row}" for row in range(STREAMS))


def test_streams_that_were_given_up_do_not_keep_the_next_one_from_its_first_try() -> None:
    sink = Destination("open")
    sink.down = True
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(max_elapsed=0.001))
        while fan.report.finished < 10:
            with fan.open() as stream:
                stream.write("text")
            wait_until(lambda: not fan._lanes[0]._ledger.cursors)
        on = fan._lanes[0]._serving._outage.on

    assert sink.tries("open") >= 10
    assert not on


def test_deadline_is_kept_where_200_streams_wait_for_a_destination_that_is_down() -> None:
    sink = Destination("open", "write", "close")
    fan = Fan()
    fan.add(sink, lane=LaneOptions(linger=0))
    streams = [fan.open(row=row) for row in range(STREAMS)]
    for stream in streams:
        stream.write("first ")
    wait_until(lambda: len(sink.chunks) == STREAMS)
    sink.down = True
    for stream in streams:
        stream.write("second")
        stream.end()
    wait_for(sink.troubled)
    begun = time.monotonic()

    # A fifth of it is for closing them all.
    fan.close(timeout=5)

    assert time.monotonic() - begun < 30
    assert sink.calls[-1] == "disconnect", "it was not abandoned"
    assert fan.report.sinks[0].missing == STREAMS * len("second")


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_call_that_stalls_holds_back_its_lane_and_is_no_failure_when_it_returns(method: str) -> None:
    sink, other = GatedSink(method), MemorySink()
    with Fan(other) as fan:
        fan.add(sink, lane=LaneOptions(call_timeout=0.05))
        publish(fan)
        wait_for(sink.inside)
        wait_until(lambda: fan.report.sinks[1].state is State.DEGRADED)
        stalled = fan.report.sinks[1].waiting_in
        wait_until(lambda: fan.report.sinks[0].complete == STREAMS)
        sink.gate.set()
        # Only then: the end has no more patience with a call than its `call_timeout`.
        wait_until(lambda: fan.report.sinks[1].complete == STREAMS)

    assert stalled == method
    assert not fan.report.failures


def test_beats_go_on_while_a_destination_is_down() -> None:
    beaten = threading.Semaphore(0)

    class Beating(Destination):
        heartbeat = 0.01

        def beat(self, stream: StreamInfo) -> None:
            if self.down:
                beaten.release()

    sink = Beating("write")
    fan = Fan()
    fan.add(sink, lane=LaneOptions(linger=0))
    streams = [fan.open() for _ in range(10)]
    for stream in streams:
        stream.write("first")
    wait_until(lambda: len(sink.chunks) == 10)
    sink.down = True
    for stream in streams:
        stream.write("second")

    assert all(beaten.acquire(timeout=10) for _ in range(20))
    fan.close(timeout=0.1)
