"""Sinks that do what a sink must not, in each of their methods: the others hold every byte, and the report names it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent, Retryable, StreamEnded, UsageError
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.report import State
from tests.support.sinks import DEADLINE, MemorySink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.report import SinkReport
    from streamfan.stream import Stream

METHODS = ["connect", "open", "write", "beat", "close", "disconnect"]
TEXT = [f"piece {number} ☕ " for number in range(50)]
STREAMS = 3
LANE = LaneOptions(linger=0, call_timeout=0.3, connect_timeout=0.3, max_elapsed=0.3)


class IllSink(MemorySink):
    """Does something odd at the beginning of one of its methods."""

    name = "ill"
    heartbeat = 0.01

    def __init__(self, method: str, act: Callable[[], object]) -> None:
        super().__init__()
        self.acted = threading.Event()
        self.method = method
        self._act = act

    def _maybe(self, method: str) -> None:
        if method == self.method:
            try:
                self._act()
            finally:
                self.acted.set()

    def connect(self) -> None:
        self._maybe("connect")
        super().connect()

    def open(self, stream: StreamInfo) -> int | None:
        self._maybe("open")
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        self._maybe("write")
        super().write(chunk)

    def beat(self, stream: StreamInfo) -> None:
        self._maybe("beat")

    def close(self, stream: StreamInfo, end: End) -> None:
        self._maybe("close")
        super().close(stream, end)

    def disconnect(self) -> None:
        self._maybe("disconnect")
        super().disconnect()


class Ward:
    """A fan with an ill sink beside two healthy ones."""

    def __init__(self, ill: IllSink) -> None:
        self.sink = ill
        self.healthy = [MemorySink(), MemorySink()]
        self.fan = Fan()

    def open(self) -> list[Stream]:
        """Open some streams, then let the sinks begin."""
        streams = [self.fan.open(row=row) for row in range(STREAMS)]
        for number, sink in enumerate(self.healthy):
            self.fan.add(sink, id=f"healthy{number}")
        self.fan.add(self.sink, lane=LANE)
        return streams

    def publish(self) -> SinkReport:
        """Publish some streams side by side, check what the healthy sinks hold, and say what became of the ill one."""
        with self.fan:
            streams = self.open()
            for text in TEXT:
                for stream in streams:
                    stream.write(text)
            if self.sink.method not in {"close", "disconnect"}:
                assert self.sink.acted.wait(DEADLINE)
            for stream in streams:
                stream.end()
        for sink in self.healthy:
            assert [sink.text(stream.id) for stream in streams] == ["".join(TEXT)] * STREAMS
            assert all(end.complete for end in sink.ends)
        reports = {report.id: report for report in self.fan.report.sinks}
        assert [reports[id].failed for id in ("healthy0", "healthy1")] == [False, False]
        return reports["ill"]


def raising(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        Permanent("refused"),
        Retryable("busy", after=0.01),
        BrokenPipeError("gone"),
        SystemExit(3),
        KeyboardInterrupt("pressed"),
        GeneratorExit("left"),
        BaseException("of no kind"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_sink_that_raises(method: str, error: BaseException) -> None:
    report = Ward(IllSink(method, raising(error))).publish()

    if method == "beat" and not isinstance(error, Permanent):
        # A write will tell whether the destination is gone.
        assert not report.failed
        return
    assert (report.state, report.failed) == (State.FAILED, True)
    assert report.error is not None
    assert str(error) in report.error


@pytest.mark.parametrize("method", METHODS)
def test_sink_that_blocks(method: str) -> None:
    gate = threading.Event()

    def act() -> None:
        sink.acted.set()
        gate.wait()

    sink = IllSink(method, act)
    report = Ward(sink).publish()
    gate.set()

    assert (report.state, report.failed, report.waiting_in) == (State.FAILED, True, method)
    assert f"{method}() has not returned" in str(report)


@pytest.mark.parametrize("method", METHODS)
def test_sink_that_works_on_its_fan(method: str) -> None:
    late, heard = MemorySink(), threading.Event()

    def act() -> None:
        if heard.is_set():
            return
        heard.set()
        assert ward.fan.report.sinks
        # Both are refused by a fan that is about to close.
        with suppress(UsageError):
            ward.fan.add(late, id="late")
        with suppress(UsageError), ward.fan.open("inner") as stream:
            stream.write("from inside")

    ward = Ward(IllSink(method, act))
    report = ward.publish()

    assert not report.failed, str(report)
    if method in {"open", "write", "beat"}:
        assert [sink.text("inner") for sink in (*ward.healthy, late)] == ["from inside"] * 3


@pytest.mark.parametrize("method", METHODS)
def test_sink_that_cancels_everything(method: str) -> None:
    ward = Ward(IllSink(method, lambda: ward.fan.cancel("enough", by="ill")))

    report = ward.publish()

    assert not report.failed, str(report)
    cancelled = [end.finish_reason == "cancelled" for end in ward.healthy[0].ends]
    assert cancelled == [method not in {"close", "disconnect"}] * STREAMS


@pytest.mark.parametrize("method", METHODS)
def test_sink_that_closes_its_fan(method: str) -> None:
    closed = threading.Event()

    def act() -> None:
        # Once: what it calls may call it again.
        if not closed.is_set():
            closed.set()
            ward.fan.close(timeout=5)

    sink = IllSink(method, act)
    ward = Ward(sink)
    streams = ward.open()
    with suppress(StreamEnded):
        for stream in streams:
            stream.write("text")
            stream.end()
    if method in {"connect", "open", "write", "close"}:
        assert closed.wait(DEADLINE)

    ward.fan.close()

    for healthy in ward.healthy:
        assert [healthy.text(stream.id) for stream in streams] == [stream.text for stream in streams]
        assert healthy.calls.count("disconnect") == 1
    assert sink.calls.count("disconnect") == 1


@pytest.mark.parametrize("method", METHODS)
def test_sink_that_leaves_threads_behind(method: str) -> None:
    over = threading.Event()
    threads: list[threading.Thread] = []

    def act() -> None:
        threads.append(threading.Thread(target=over.wait, daemon=True))
        threads[-1].start()

    report = Ward(IllSink(method, act)).publish()

    assert not report.failed
    assert all(thread.is_alive() for thread in threads), "nobody waits for them"
    over.set()


@pytest.mark.parametrize("nonsense", [-1, 10**9, True, "3", 2.5, object], ids=repr)
def test_sink_that_says_nonsense_about_what_it_holds(nonsense: object) -> None:
    class Boasting(IllSink):
        def open(self, stream: StreamInfo) -> int | None:
            super().open(stream)
            return nonsense  # type: ignore[return-value]

    report = Ward(Boasting("open", lambda: None)).publish()

    assert (report.state, report.failed) == (State.FAILED, True)
    assert "open() returned" in str(report)
