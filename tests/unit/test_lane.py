"""One sink at work: order, retries, resumption, failure, endings."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import logging
import threading
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamfan.cursor import Cursor
from streamfan.errors import Permanent, Retryable, SinkClosed
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.report import State
from streamfan.sink import AsyncSink, Delivery
from tests.support.sinks import FailingSink, GatedSink, HoldingSink, MemorySink, always, first, wait_for, wait_until

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.report import DeliveryReport, SinkReport
    from streamfan.sink import Sink

SOON = Retryable("busy", after=0.0)


def deliver(sink: Sink, *texts: str, lane: LaneOptions | None = None) -> tuple[SinkReport, DeliveryReport]:
    """Publish one stream to one sink, and say what became of it."""
    with Fan() as fan:
        fan.add(sink, lane=lane or LaneOptions())
        with fan.open() as stream:
            for text in texts:
                stream.write(text)
    (report,) = fan.report.streams
    return fan.report.sinks[0], report.deliveries[0]


def test_calls_come_in_order() -> None:
    sink = MemorySink()

    deliver(sink, "text")

    assert sink.calls == ["connect", "open", "write", "close", "disconnect"]


def test_stream_without_text_is_opened_and_closed() -> None:
    sink = MemorySink()

    _, delivery = deliver(sink)

    assert sink.calls == ["connect", "open", "close", "disconnect"]
    assert delivery.complete


def test_offsets_follow_each_other_and_ids_come_once() -> None:
    sink = MemorySink()
    with Fan(sink) as fan, fan.open() as stream:
        for number in range(100):
            stream.write("日", [number])

    ends = [chunk.end for chunk in sink.chunks]
    assert [chunk.offset for chunk in sink.chunks] == [0, *ends[:-1]]
    assert [id for chunk in sink.chunks for id in chunk.token_ids] == list(range(100))


def test_text_that_waits_is_merged() -> None:
    sink = GatedSink("write")
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("first ")
        wait_for(sink.inside)
        for _ in range(100):
            stream.write("more ")
        sink.gate.set()
        stream.end()

    assert [chunk.text for chunk in sink.chunks] == ["first ", "more " * 100]


def test_chunks_are_at_most_max_bytes() -> None:
    sink = MemorySink()

    deliver(sink, "日本語" * 100, lane=LaneOptions(max_bytes=10))

    assert max(len(chunk.data) for chunk in sink.chunks) <= 10
    assert sink.text() == "日本語" * 100


def test_size_of_a_chunk_is_what_the_sink_says() -> None:
    class Doubling(MemorySink):
        def size(self, text: str) -> int:
            return 2 * len(text)

    sink = Doubling()

    deliver(sink, "x" * 100, lane=LaneOptions(max_bytes=10))

    assert max(len(chunk.data) for chunk in sink.chunks) == 5


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [
        ("line", ["one\n", "two\nthree\n", "four"]),
        ("all", ["one\ntwo\nthree\nfour"]),
    ],
)
def test_text_waits_for_its_boundary(boundary: str, expected: list[str]) -> None:
    sink = MemorySink()
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions.model_validate({"boundary": boundary}))
        with fan.open() as stream:
            stream.write("one\ntw")
            if boundary == "line":
                wait_for(sink.written)
            sink.written.clear()
            stream.write("o\nthree\nfour")
            if boundary == "line":
                wait_for(sink.written)

    assert [chunk.text for chunk in sink.chunks] == expected


@pytest.mark.parametrize("method", ["connect", "open", "write"])
def test_all_text_that_a_failed_sink_was_not_given_is_missing(method: str) -> None:
    sink = FailingSink(always(method, Permanent("gone")))
    with Fan(sink) as fan:
        with fan.open() as stream:
            stream.write("first")
            wait_until(lambda: fan.report.streams[0].deliveries[0].error)
            stream.write(" and the rest")
            (running,) = fan.report.streams
        (report,) = fan.report.sinks

    (only,) = fan.report.streams
    whole = len(stream.text)
    assert (running.deliveries[0].missing, only.deliveries[0].missing) == (whole, whole)
    assert (report.missing, fan.report.sinks[0].missing) == (whole, whole)
    assert (fan.report.sinks[0].streams, fan.report.finished) == (1, 1)


def test_retry_has_the_same_offset_and_the_same_bytes() -> None:
    attempts: list[Chunk] = []

    class Flaky(MemorySink):
        def write(self, chunk: Chunk) -> None:
            attempts.append(chunk)
            if len(attempts) == 1:
                stream.write("more text that must not join the chunk in flight")
                raise SOON
            super().write(chunk)

    sink = Flaky()
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("first")
        wait_for(sink.written)

    assert attempts[0] == attempts[1]
    assert sink.text() == stream.text


@pytest.mark.guarantee("any sink", "reset in the middle")
def test_stream_is_opened_again_after_a_failure_whose_result_is_unknown() -> None:
    sink = FailingSink(first(1, "write", ConnectionResetError("gone")))

    _, delivery = deliver(sink, "text")

    assert sink.calls == ["connect", "open", "write failed", "open", "write", "close", "disconnect"]
    assert (delivery.retries, delivery.complete) == (1, True)


@pytest.mark.guarantee("any sink", "disk full")
@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_disk_that_is_full_for_a_while_costs_no_text(method: str) -> None:
    sink = FailingSink(first(2, method, OSError(errno.ENOSPC, "No space left on device")))

    _, delivery = deliver(sink, "text")

    assert sink.text() == "text"
    assert (delivery.retries, delivery.complete) == (2, True)


@settings(max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6), st.lists(st.none() | st.integers(0, 12)))
def test_sink_that_says_what_it_holds_is_exactly_once(texts: list[str], faults: list[int | None]) -> None:
    sink = HoldingSink(lambda write: faults[write] if write < len(faults) else None)

    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr("streamfan.retry._FIRST_PAUSE", 0.0)
        _, delivery = deliver(sink, *texts, lane=LaneOptions(max_bytes=8))

    text = "".join(texts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    assert bytes(sink.held) == text
    assert (delivery.sha256, delivery.complete) == (hashlib.sha256(text).hexdigest(), True)


def test_destination_that_came_back_empty_is_given_everything_again() -> None:
    class Forgetful(HoldingSink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            if len(self.chunks) == 2:
                self.held.clear()
                raise ConnectionResetError("restarted empty")

    sink = Forgetful(lambda _: None)

    _, delivery = deliver(sink, "abcdefgh" * 4, lane=LaneOptions(max_bytes=8))

    assert bytes(sink.held) == b"abcdefgh" * 4
    assert delivery.sha256 == hashlib.sha256(b"abcdefgh" * 4).hexdigest()


@pytest.mark.guarantee("any sink", "reset in the middle")
def test_at_most_once_sink_never_gets_a_chunk_twice_and_the_loss_is_counted() -> None:
    class Once(FailingSink):
        delivery = Delivery.AT_MOST_ONCE

    sink = Once(first(1, "write", ConnectionResetError("gone")))

    report, delivery = deliver(sink, "abcdefgh", lane=LaneOptions(max_bytes=4))

    assert [(chunk.offset, chunk.text) for chunk in sink.chunks] == [(4, "efgh")]
    assert (delivery.lost, delivery.complete, delivery.sha256) == (4, False, None)
    assert report.failed
    assert not sink.ends[0].complete


@pytest.mark.guarantee("any sink", "wrong answer")
@pytest.mark.parametrize("nonsense", [-1, 1, 100, True, "3", 2.0])
def test_nonsense_about_what_is_held_fails_the_stream(nonsense: object) -> None:
    class Nonsense(FailingSink):
        def open(self, stream: StreamInfo) -> int | None:
            super().open(stream)
            return nonsense if self.chunks or "write failed" in self.calls else 0  # type: ignore[return-value]

    sink = Nonsense(first(1, "write", SOON))

    report, delivery = deliver(sink, "日本")

    assert delivery.error is not None
    assert f"open() returned {nonsense!r}" in delivery.error
    assert report.state is State.FAILED


def test_sink_cannot_hold_more_than_it_was_ever_sent() -> None:
    class Boasting(FailingSink):
        def open(self, stream: StreamInfo) -> int | None:
            super().open(stream)
            return 6 if "write failed" in self.calls else 0

    sink = Boasting(first(1, "write", SOON))

    _, delivery = deliver(sink, "日本", lane=LaneOptions(max_bytes=4))

    assert delivery.error is not None
    assert "between 0 and 3" in delivery.error


@pytest.mark.guarantee("any sink", "raising")
@pytest.mark.parametrize("method", ["open", "write", "close"])
@pytest.mark.parametrize("error", [Permanent("refused"), ValueError("odd"), SystemExit(3), BrokenPipeError()], ids=repr)
def test_final_error_fails_the_stream_at_once(method: str, error: BaseException) -> None:
    sink = FailingSink(always(method, error))

    report, delivery = deliver(sink, "text")

    assert sink.calls.count(f"{method} failed") == 1
    assert (report.state, report.failed, delivery.complete) == (State.FAILED, True, False)
    assert delivery.error is not None


def test_what_was_opened_is_closed_also_after_a_failure() -> None:
    sink = FailingSink(always("write", Permanent("refused")))

    deliver(sink, "text")

    assert sink.calls[-2:] == ["close", "disconnect"]
    assert not sink.ends[0].complete


def test_what_was_never_opened_is_not_closed() -> None:
    sink = FailingSink(always("open", Permanent("refused")))

    deliver(sink, "text")

    assert "close" not in sink.calls


def test_close_is_retried_until_it_has_returned_once() -> None:
    sink = FailingSink(first(3, "close", SOON))

    _, delivery = deliver(sink, "text")

    assert (sink.calls.count("close failed"), sink.calls.count("close")) == (3, 1)
    assert delivery.complete


def test_stream_without_text_whose_close_fails_for_ever_is_given_up() -> None:
    sink = FailingSink(always("close", Retryable("busy", after=0.01)))

    report, delivery = deliver(sink, lane=LaneOptions(max_elapsed=0.1))

    assert (delivery.error, delivery.complete, report.failed) == ("busy", False, True)


def test_destination_that_forgets_everything_again_and_again_is_given_up() -> None:
    class Forgetful(HoldingSink):
        def write(self, chunk: Chunk) -> None:
            super().write(chunk)
            self.held.clear()

        def close(self, stream: StreamInfo, end: End) -> None:
            if end.complete:
                raise SOON
            super().close(stream, end)

    _, delivery = deliver(Forgetful(lambda _: None), "text", lane=LaneOptions(max_elapsed=0.2))

    assert delivery.error == "busy"


class Broken(MemorySink):
    """Fails with errors that have others within them."""

    def write(self, chunk: Chunk) -> None:
        try:
            raise KeyError("within")
        except KeyError as error:
            raise ExceptionGroup("several", [ValueError("broken")]) from error


class Boastful(MemorySink):
    """Says that it holds what was never sent."""

    def open(self, stream: StreamInfo) -> int | None:
        return 10**9


@pytest.mark.parametrize("kind", [Broken, Boastful])
def test_errors_keep_nothing_of_the_streams_that_met_them(kind: type[MemorySink]) -> None:
    cursors: list[weakref.ref[Cursor]] = []
    with Fan(kind()) as fan:
        last = fan.open()
        for _ in range(20):
            # The next one is there before the last one has ended, so that a frame knows both.
            stream = fan.open()
            cursors.append(weakref.ref(fan._lanes[0]._ledger.cursors[-1]))
            stream.write("text")
            wait_until(lambda: fan._lanes[0]._ledger.cursors[-1].error)
            last.end()
            last = stream
            wait_until(lambda: len(fan._lanes[0]._ledger.cursors) == 1)
        gc.collect()
        kept = sum(cursor() is not None for cursor in cursors)

    assert kept <= 3


def test_first_write_has_all_its_tries_however_long_opening_took() -> None:
    backoff_starts: list[float] = []

    class Late(FailingSink):
        def write(self, chunk: Chunk) -> None:
            backoff_starts.append(cursor()._backoff.failures)
            super().write(chunk)

    sink = Late(first(2, "open", SOON))
    fan = Fan(sink)

    def cursor() -> Cursor:
        return fan._lanes[0]._ledger.cursors[0]

    with fan, fan.open() as stream:
        stream.write("text")
        wait_for(sink.written)

    assert backoff_starts == [0]


def test_sink_whose_size_raises_fails_that_stream_alone() -> None:
    class Unsizeable(MemorySink):
        def size(self, text: str) -> int:
            if "odd" in text:
                raise ValueError("no size")
            return super().size(text)

    sink = Unsizeable()
    with Fan(sink) as fan:
        for text in ("odd", "even"):
            with fan.open() as stream:
                stream.write(text)

    assert [report.deliveries[0].error for report in fan.report.streams] == ["ValueError: no size", None]
    assert sink.calls[-1] == "disconnect"


def test_log_handler_that_raises_ends_the_lane_and_nothing_else() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "'bad'" in record.getMessage():
                raise RuntimeError("handler")

    handler = Broken()
    logging.getLogger("streamfan.lane").addHandler(handler)
    bad, good = FailingSink(always("write", Permanent("refused"))), MemorySink()
    with Fan(good) as fan:
        fan.add(bad, id="bad")
        with fan.open() as stream:
            stream.write("text")
    logging.getLogger("streamfan.lane").removeHandler(handler)

    assert (good.text(), fan.report.finished) == ("text", 1)
    assert [report.id for report in fan.report.failures] == ["bad"]


def test_disconnect_that_fails_is_a_failure() -> None:
    sink = FailingSink(always("disconnect", OSError(28, "No space left on device")))

    report, delivery = deliver(sink, "text")

    assert (delivery.complete, report.state, report.failed) == (True, State.FAILED, True)
    assert report.error is not None
    assert "No space left" in report.error


def test_stream_is_given_up_after_max_elapsed() -> None:
    sink = FailingSink(always("write", Retryable("busy", after=0.01)))

    report, delivery = deliver(sink, "text", lane=LaneOptions(max_elapsed=0.05))

    assert delivery.error == "busy"
    assert (delivery.missing, report.failed) == (4, True)


def test_failed_stream_does_not_fail_the_others_of_its_lane() -> None:
    class Picky(MemorySink):
        def write(self, chunk: Chunk) -> None:
            if chunk.stream.row == 1:
                raise Permanent("not this one")
            super().write(chunk)

    sink = Picky()
    with Fan(sink) as fan:
        streams = [fan.open(row=row) for row in range(3)]
        for stream in streams:
            stream.write(f"row {stream.info.row}")
            stream.end()

    assert [bool(report.deliveries[0].error) for report in sorted(fan.report.streams, key=lambda each: each.row)] == [
        False,
        True,
        False,
    ]
    assert sink.text(streams[2].id) == "row 2"


def test_lane_is_well_again_when_a_later_stream_is() -> None:
    sink = FailingSink(first(1, "write", Permanent("not this one")))
    with Fan(sink) as fan:
        states = []
        for _ in range(2):
            sink.closed.clear()
            with fan.open() as stream:
                stream.write("text")
            wait_for(sink.closed)
            states.append(fan.report.sinks[0].state)

    assert states == [State.FAILED, State.OK]


def test_lane_is_degraded_while_a_stream_waits_for_its_retry() -> None:
    sink = FailingSink(first(1, "write", Retryable("busy", after=3600)))
    fan = Fan()
    fan.add(sink, lane=LaneOptions(max_elapsed=7200))
    with fan.open() as stream, fan.open() as other:
        stream.write("text")
        wait_for(sink.troubled)
        other.write("served after the failure was noted")
        wait_for(sink.written)

        report = fan.report.sinks[0]

    assert (report.state, report.trouble) == (State.DEGRADED, "write() failed, trying again: busy")
    fan.close(timeout=0.1)


def test_lane_serves_its_other_streams_while_one_waits_for_its_retry() -> None:
    class Picky(MemorySink):
        def write(self, chunk: Chunk) -> None:
            if chunk.stream.row == 0 and not served.is_set():
                raise Retryable("busy", after=0.01)
            super().write(chunk)
            if chunk.stream.row == 1:
                served.set()

    served = threading.Event()
    sink = Picky()
    with Fan(sink) as fan:
        waiting, other = fan.open(row=0), fan.open(row=1)
        waiting.write("waits")
        other.write("goes on")
        wait_for(served)
        waiting.end()
        other.end()

    assert (sink.text(waiting.id), sink.text(other.id)) == ("waits", "goes on")


def test_sequential_lane_finishes_one_stream_before_the_next() -> None:
    sink = MemorySink()
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(sequential=True))
        first_stream, second = fan.open(row=0), fan.open(row=1)
        second.write("second ")
        second.end()
        first_stream.write("first ")
        first_stream.end()

    assert sink.text() == "first second "
    assert sink.calls == ["connect", "open", "write", "close", "open", "write", "close", "disconnect"]


def test_destination_that_leaves_is_no_failure() -> None:
    sink = FailingSink(always("write", SinkClosed()))

    report, delivery = deliver(sink, "text")

    assert (report.left, report.failed, report.state, delivery.error) == (True, False, State.CLOSED, None)
    assert sink.calls[-2:] == ["close", "disconnect"]


def test_lane_whose_destination_left_takes_no_further_stream() -> None:
    sink = FailingSink(always("write", SinkClosed()))
    with Fan(sink) as fan:
        for _ in range(2):
            with fan.open() as stream:
                stream.write("text")
            wait_for(sink.closed)

    assert sink.calls.count("open") == 1


def test_sink_that_closes_while_closing_is_closed_once() -> None:
    sink = FailingSink(always("close", SinkClosed()))

    deliver(sink, "text")

    assert sink.calls.count("close failed") == 1


@pytest.mark.guarantee("any sink", "refused")
def test_connecting_is_retried_within_its_timeout() -> None:
    sink = FailingSink(first(2, "connect", ConnectionRefusedError("refused")))

    report, delivery = deliver(sink, "text")

    assert sink.calls[:3] == ["connect failed", "connect failed", "connect"]
    assert (report.state, delivery.complete) == (State.CLOSED, True)


def test_destination_that_cannot_be_reached_fails_its_streams_and_only_connects() -> None:
    sink = FailingSink(always("connect", Permanent("no such host")))

    report, delivery = deliver(sink, "text")

    assert set(sink.calls) == {"connect failed", "disconnect"}
    assert (report.state, report.error, delivery.missing) == (State.FAILED, "no such host", 4)


@pytest.mark.guarantee("any sink", "refused")
def test_failed_destination_is_probed_again_for_the_next_stream() -> None:
    sink = FailingSink(first(1, "connect", Permanent("no such host")))
    with Fan(sink) as fan:
        assert [report.id for report in fan.reach()] == ["failing"]

        with fan.open() as stream:
            stream.write("text")

    assert sink.text() == "text"
    assert fan.report.sinks[0].state is State.CLOSED


def test_destination_that_failed_is_left_alone_until_a_stream_opens() -> None:
    sink = FailingSink(always("connect", Permanent("no such host")))
    with Fan(sink) as fan:
        fan.reach()
        with fan.open():
            pass

    assert sink.calls.count("connect failed") == 2


def test_destination_that_was_given_up_is_not_waited_for_at_the_end() -> None:
    sink = FailingSink(always("connect", Retryable("refused", after=3600)))
    fan = Fan()
    fan.add(sink, lane=LaneOptions(connect_timeout=0, max_elapsed=7200))
    fan.reach()
    with fan.open() as stream:
        stream.write("text")
    sink.troubled.clear()

    fan.close()

    assert fan.report.sinks[0].error == "refused"


def test_destination_that_was_to_be_tried_again_has_failed_at_the_end() -> None:
    sink = FailingSink(always("connect", Retryable("refused", after=20.0)))
    fan = Fan()
    fan.add(sink, lane=LaneOptions(connect_timeout=30))
    wait_until(lambda: fan.report.sinks[0].trouble)
    assert str(fan.report.sinks[0]) == "sink 'failing': connect() failed, trying again: refused"

    fan.close()

    assert (fan.report.sinks[0].state, fan.report.sinks[0].error) == (State.FAILED, "refused")


def test_reach_returns_when_a_connect_hangs() -> None:
    sink = GatedSink("connect")
    fan = Fan()
    fan.add(sink, lane=LaneOptions(connect_timeout=0.05))

    (report,) = fan.reach()

    assert (report.id, report.state) == ("gated", State.DEGRADED)
    assert str(report) == "sink 'gated': not reached within 0.05 s: connect() has not returned"
    sink.gate.set()
    fan.close()


def test_beats_come_while_no_text_flows() -> None:
    beaten = threading.Semaphore(0)

    class Beating(MemorySink):
        heartbeat = 0.01

        def beat(self, stream: StreamInfo) -> None:
            beaten.release()
            if len(self.calls) == 2:
                raise ConnectionResetError("a beat that fails is not the stream's failure")

    with Fan(Beating()) as fan, fan.open():
        assert all(beaten.acquire(timeout=10) for _ in range(3))

    assert not fan.report.failures


def test_beats_that_fail_are_told_once_for_each_outage(caplog: pytest.LogCaptureFixture) -> None:
    beaten = threading.Semaphore(0)
    outcomes = iter([True, False, False, False, True, False])

    class Beating(MemorySink):
        heartbeat = 0.01

        def beat(self, stream: StreamInfo) -> None:
            works = next(outcomes, True)
            beaten.release()
            if not works:
                raise ConnectionResetError("away")

    with Fan(Beating()) as fan, fan.open():
        assert all(beaten.acquire(timeout=10) for _ in range(8))

    told = [record for record in caplog.records if "beat() failed" in record.getMessage()]
    assert [record.levelname for record in told if record.levelno >= logging.WARNING] == ["WARNING", "WARNING"]


def test_an_object_may_have_a_heartbeat_and_a_promise_of_its_own() -> None:
    beaten = threading.Event()

    class Beating(MemorySink):
        def beat(self, stream: StreamInfo) -> None:
            beaten.set()

    sink = Beating()
    sink.heartbeat, sink.delivery = 0.01, Delivery.AT_MOST_ONCE

    with Fan(sink) as fan, fan.open():
        assert beaten.wait(timeout=10)

    assert fan.report.sinks[0].guarantee == "at most once"


@pytest.mark.guarantee("any sink", "hung")
def test_call_that_does_not_return_is_reported_and_abandoned() -> None:
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(call_timeout=0.05, max_bytes=4))
        with fan.open() as stream:
            stream.write("text and more")
            wait_for(sink.inside)

    report = fan.report.sinks[0]
    assert (report.state, report.waiting_in, report.missing) == (State.FAILED, "write", 13)
    assert report.error is not None
    assert "write() has not returned" in report.error
    assert not sink.closed.is_set(), "close must not be called beside a write that has not returned"

    sink.gate.set()
    wait_for(sink.closed)
    assert sink.text() == "text", "a sink that was abandoned is given no more"


def test_call_that_does_not_return_is_noticed_while_it_lasts() -> None:
    noticed = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "degraded: write() has not returned" in record.getMessage():
                noticed.set()

    listener = Listener()
    logging.getLogger("streamfan.lane").addHandler(listener)
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(call_timeout=0.05))
        with fan.open() as stream:
            stream.write("text")
            wait_for(noticed)
            sink.gate.set()
            wait_for(sink.written)

    logging.getLogger("streamfan.lane").removeHandler(listener)
    assert (sink.text(), fan.report.failures) == ("text", ())


def test_everything_delivered_but_a_hung_close_is_a_failure() -> None:
    sink = GatedSink("close")
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(call_timeout=0.05))
        with fan.open() as stream:
            stream.write("text")

    assert [report.waiting_in for report in fan.report.failures] == ["close"]
    sink.gate.set()


@pytest.mark.guarantee("any sink", "shutdown")
def test_deadline_interrupts_the_wait_for_a_retry_and_still_closes() -> None:
    sink = FailingSink(always("write", Retryable("busy", after=3600)))
    fan = Fan()
    fan.add(sink, lane=LaneOptions(max_elapsed=7200))
    with fan.open() as stream:
        stream.write("text")
    wait_for(sink.troubled)

    fan.close(timeout=0.2)

    assert sink.calls[-2:] == ["close", "disconnect"]
    assert (fan.report.failures[0].missing, fan.report.failures[0].error) == (4, "the time for delivery was over")


def test_async_sink_is_called_in_one_event_loop_that_runs_between_calls() -> None:
    ticked = threading.Event()

    class Async(AsyncSink):
        name = "async"

        def __init__(self) -> None:
            super().__init__()
            self.loops: set[int] = set()
            self.text = ""
            self.ended = False

        async def aconnect(self) -> None:
            import asyncio

            self.loops.add(id(asyncio.get_running_loop()))
            asyncio.get_running_loop().call_later(0.01, ticked.set)

        async def awrite(self, chunk: Chunk) -> None:
            import asyncio

            self.loops.add(id(asyncio.get_running_loop()))
            self.text += chunk.text

        async def aclose(self, stream: StreamInfo, end: End) -> None:
            self.ended = end.complete

    sink = Async()
    with Fan(sink) as fan, fan.open() as stream:
        wait_for(ticked)
        stream.write("text")

    assert (sink.text, sink.ended, len(sink.loops)) == ("text", True, 1)
    assert not fan.report.failures


def test_lane_that_was_given_up_delivers_nothing_more_when_its_call_returns() -> None:
    sink = GatedSink("write")
    fan = Fan()
    fan.add(sink, lane=LaneOptions(linger=0.0))
    streams = [fan.open(id) for id in "abcd"]
    for stream in streams:
        stream.write(stream.id)
    wait_for(sink.inside)

    for stream in streams:
        stream.end()
    fan.close(0.2)
    before = fan.report.sinks[0]
    sink.gate.set()
    wait_until(lambda: sink.calls[-1] == "disconnect")

    assert (before.state, before.missing) == (State.FAILED, 4)
    assert len(sink.chunks) == 1
    assert [end.complete for end in sink.ends].count(True) <= 1
    assert fan.report.sinks[0].state is State.FAILED


def test_destination_that_leaves_is_given_no_other_stream() -> None:
    gate = threading.Event()

    class Slow(FailingSink):
        def connect(self) -> None:
            wait_for(gate)
            super().connect()

    sink = Slow(first(1, "write", SinkClosed("enough")))
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(linger=0.0))
        for id in "abc":
            with fan.open(id) as stream:
                stream.write(id)
        gate.set()

    assert sink.calls.count("write failed") == 1
    assert not sink.chunks


def test_stream_whose_beat_will_never_work_again_is_given_up() -> None:
    class Fenced(MemorySink):
        heartbeat = 0.01

        def beat(self, stream: StreamInfo) -> None:
            self.calls.append(f"beat {stream.id}")
            if stream.id == "fenced":
                raise Permanent("another writer has taken over")

    sink = Fenced()
    with Fan(sink) as fan, fan.open("fenced") as fenced, fan.open("fine") as fine:
        fenced.write("text")
        fine.write("text")
        wait_until(lambda: sink.calls.count("beat fine") > 5)
        fenced.write(" that it will not have")

    deliveries = {stream.id: stream.deliveries[0] for stream in fan.report.streams}
    assert sink.calls.count("beat fenced") == 1
    assert "taken over" in str(deliveries["fenced"].error)
    assert deliveries["fine"].complete


def test_lane_whose_streams_have_failed_need_not_be_woken_and_a_new_one_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody looks who was not asked to.
    monkeypatch.setattr("streamfan.dispatcher._LONGEST_SLEEP", 3600.0)
    sink = FailingSink(first(1, "write", Permanent("no")))
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(linger=0.02))
        (lane,) = fan._lanes
        with fan.open() as failed:
            failed.write("text")
            wait_until(lambda: lane.attentive)
            with fan.open() as stream:
                for piece in ("a", "b", "c"):
                    stream.write(piece)
                    wait_until(lambda: sink.text(stream.id).endswith(piece) and not lane.attentive)  # noqa: B023

    assert sink.text(stream.id) == "abc"
