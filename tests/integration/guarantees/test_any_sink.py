"""What the lane does for every sink, where no test elsewhere has it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.errors import Permanent, Retryable, SinkClosed, UsageError
from streamfan.options import LaneOptions
from streamfan.report import State
from tests.support.faults import injects
from tests.support.sinks import GatedSink, MemorySink, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk
    from streamfan.report import SinkReport
    from tests.support.wall_clock import WallClock


@pytest.mark.guarantee("any sink", "clock jump")
@pytest.mark.parametrize("days", [-1, 1], ids=["back", "forward"])
def test_clock_that_is_set_moves_no_deadline_and_spoils_no_duration(days: int, wall_clock: WallClock) -> None:
    class Busy(MemorySink):
        def write(self, chunk: Chunk) -> None:
            if not clock_was_set.is_set():
                raise Retryable("busy", after=0.1)
            super().write(chunk)

    sink, clock_was_set = Busy(), threading.Event()
    with Fan(sink) as fan:
        with fan.open() as before:
            before.write("before")
            wait_until(lambda: fan.report.sinks[0].trouble)
            wall_clock.jump(days=days)
            clock_was_set.set()
        with fan.open() as after:
            after.write("after")

    assert abs(after.info.time - before.info.time) > timedelta(hours=12)
    assert after.info.attempt > before.info.attempt
    assert [sink.text(stream.id) for stream in (before, after)] == ["before", "after"]
    assert fan.report.failures == ()
    assert all(report.duration is not None and 0 <= report.duration < 3600 for report in fan.report.streams)
    assert 0 <= fan.report.sinks[0].max_lag < 3600


class Ill(GatedSink):
    """Blocks, or raises, as its state wants it."""

    def __init__(self, state: str) -> None:
        super().__init__()
        self.state = state

    def connect(self) -> None:
        if self.state == "starting":
            self.gate.wait()
        super().connect()

    def write(self, chunk: Chunk) -> None:
        match self.state:
            case "degraded":
                raise Retryable("busy", after=3600)
            case "stalled":
                self.gate.wait()
            case "failed":
                raise Permanent("refused")
            case "closed":
                raise SinkClosed("enough")
        super().write(chunk)


STATES: dict[str, Callable[[SinkReport], object]] = {
    "starting": lambda report: report.state is State.STARTING,
    "ok": lambda report: report.bytes,
    "degraded": lambda report: report.trouble,
    "stalled": lambda report: report.waiting_in,
    "failed": lambda report: report.error,
    "closed": lambda report: report.left,
}


@pytest.mark.guarantee("any sink", "shutdown")
@pytest.mark.parametrize("state", STATES)
def test_fan_is_closed_in_time_in_whatever_state_its_sink_is_and_tells_what_that_lacks(state: str) -> None:
    sink, fan = Ill(state), Fan()
    fan.add(sink, lane=LaneOptions(call_timeout=0.1, connect_timeout=3600, max_elapsed=3600))
    stream = fan.open()
    stream.write("text")
    wait_until(lambda: STATES[state](fan.report.sinks[0]))

    injects(fan.close)(timeout=0.3)
    missing = fan.report.sinks[0].missing
    sink.gate.set()

    with pytest.raises(UsageError, match="closed"):
        fan.open()
    assert missing == (0 if state == "ok" else 4)
    wait_until(lambda: sink.calls[-1:] == ["disconnect"])
