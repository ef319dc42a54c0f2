"""What a fan counts: nothing twice, nothing backwards, and nothing on the producer's thread."""

from __future__ import annotations

import errno
import json
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamfan.counters import Counters, ErrorType, SinkMetrics, StreamCounters
from streamfan.durations import Durations
from streamfan.errors import Permanent, Retryable, SinkClosed, SinkTimeout
from streamfan.fan import Fan
from streamfan.flow import Amount, Reason
from streamfan.options import LaneOptions
from streamfan.sink import Delivery
from streamfan.stream import Stream
from tests.support.sinks import FailingSink, GatedSink, HoldingSink, MemorySink, always, first, wait_for, wait_until

PATIENT = LaneOptions(linger=0.0, max_elapsed=30.0)


def metrics_of(fan: Fan) -> SinkMetrics:
    return fan.report.sinks[0].metrics


def discarded(metrics: SinkMetrics) -> dict[Reason, Amount]:
    return {each.reason: Amount(each.events, each.bytes) for each in metrics.discarded if each.bytes}


def errors(metrics: SinkMetrics) -> dict[tuple[str, str], int]:
    return {(each.stage, each.error_type): each.count for each in metrics.errors}


def test_pieces_are_counted_as_they_were_written_however_they_were_merged() -> None:
    sink = MemorySink()
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(boundary="all"))
        with fan.open() as stream:
            for text in ("a", "é", "", "☕"):
                stream.write(text)

    metrics = metrics_of(fan)
    assert (metrics.received, metrics.sent) == (Amount(3, 6), Amount(3, 6))
    assert (metrics.buffer_bytes, discarded(metrics), errors(metrics)) == (0, {}, {})
    assert len(sink.chunks) == sum(metrics.send_duration.counts) == 1


def test_text_that_waits_is_in_the_buffer_and_not_yet_sent() -> None:
    sink = GatedSink("write")
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("text")
        wait_for(sink.inside)
        stream.write(" and more")

        metrics = metrics_of(fan)

        sink.gate.set()
    assert (metrics.received.bytes, metrics.sent.bytes, metrics.buffer_bytes, discarded(metrics)) == (13, 0, 13, {})


def test_text_that_is_sent_again_is_counted_once_and_the_error_too() -> None:
    with Fan() as fan:
        fan.add(FailingSink(first(2, "write", ConnectionResetError())), lane=PATIENT)
        with fan.open() as stream:
            stream.write("text")

    metrics = metrics_of(fan)
    assert (metrics.sent, discarded(metrics)) == (Amount(1, 4), {})
    assert errors(metrics) == {("write", "connection_failed"): 2}
    assert fan.report.sinks[0].retries == 2


def test_text_that_the_destination_has_kept_of_a_failed_call_is_sent() -> None:
    sink = HoldingSink(lambda number: 3 if number == 0 else None)
    with Fan() as fan:
        fan.add(sink, lane=PATIENT)
        with fan.open() as stream:
            stream.write("text")

    assert (metrics_of(fan).sent, metrics_of(fan).received) == (Amount(1, 4), Amount(1, 4))


def test_text_that_the_destination_forgets_is_counted_when_it_was_taken() -> None:
    class Forgetful(HoldingSink):
        def open(self, stream: object) -> int | None:
            self.held.clear()
            return 0

    counts = iter([None, 0])
    sink = Forgetful(lambda _: next(counts, None))
    with Fan() as fan:
        fan.add(sink, lane=PATIENT)
        with fan.open() as stream:
            stream.write("one ")
            wait_for(sink.written)
            stream.write("two")

    assert sink.held == b"one two"
    assert metrics_of(fan).sent == Amount(2, 7)


def test_text_in_doubt_is_discarded_and_not_sent() -> None:
    class Once(FailingSink):
        delivery = Delivery.AT_MOST_ONCE

    with Fan() as fan:
        fan.add(Once(first(1, "write", ConnectionResetError())), lane=PATIENT)
        with fan.open() as stream:
            stream.write("lost")
            wait_until(lambda: fan.report.sinks[0].lost)
            stream.write(" and sent")

    metrics = metrics_of(fan)
    assert discarded(metrics) == {Reason.IN_DOUBT: Amount(1, 4)}
    assert metrics.sent == Amount(1, 9)


@pytest.mark.parametrize(
    ("error", "reason"), [(Permanent("no"), Reason.FAILED), (SinkClosed("enough"), Reason.LEFT)], ids=str
)
def test_text_that_will_not_be_delivered_is_discarded_for_a_reason(error: Exception, reason: Reason) -> None:
    sink = FailingSink(always("write", error))
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("text")
        wait_until(lambda: discarded(metrics_of(fan)))
        stream.write(" and more")

    assert discarded(metrics_of(fan)) == {reason: Amount(2, 13)}
    assert {each.reason for each in metrics_of(fan).discarded if each.intentional} == {Reason.LEFT, Reason.SKIPPED}
    assert errors(metrics_of(fan)) == ({} if reason is Reason.LEFT else {("write", "refused"): 1})


def test_text_that_a_call_may_still_deliver_is_not_discarded_yet() -> None:
    sink = GatedSink("write")
    fan = Fan(close_timeout=0.2)
    fan.add(sink, lane=LaneOptions(linger=0.0, call_timeout=0.1))
    stream = fan.open()
    stream.write("in flight")
    wait_for(sink.inside)
    stream.write(", waiting")
    fan.close()

    abandoned = metrics_of(fan)
    sink.gate.set()
    wait_until(lambda: not metrics_of(fan).buffer_bytes)

    assert (discarded(abandoned), abandoned.buffer_bytes) == ({Reason.LATE: Amount(1, 9)}, 9)
    assert errors(abandoned) == {("write", "timed_out"): 1}
    assert (discarded(metrics_of(fan)), metrics_of(fan).sent) == ({Reason.LATE: Amount(1, 9)}, Amount(1, 9))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Retryable("later"), "busy"),
        (Permanent("never"), "refused"),
        (TimeoutError(), "timed_out"),
        (SinkTimeout(), "timed_out"),
        (BrokenPipeError(), "connection_failed"),
        (OSError(errno.ENOSPC, "full"), "os_error"),
        (SystemExit(), "other"),
    ],
    ids=repr,
)
def test_errors_are_of_few_kinds(error: BaseException, kind: str) -> None:
    assert ErrorType.of(error) == kind


@pytest.mark.parametrize("method", ["connect", "open", "write", "close", "disconnect"])
def test_error_is_counted_with_the_method_that_met_it(method: str) -> None:
    with Fan(FailingSink(always(method, Permanent("no")))) as fan, fan.open() as stream:
        stream.write("text")

    assert errors(metrics_of(fan)).keys() == {(method, "refused")}


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=4), max_size=12),
    troubles=st.lists(st.sampled_from([None, Retryable("later"), Permanent("no"), SinkClosed("enough")]), max_size=12),
    delivery=st.sampled_from(Delivery),
    size=st.integers(4, 9),
)
def test_all_text_is_sent_or_discarded_when_all_is_over(
    texts: list[str], troubles: list[Exception | None], delivery: Delivery, size: int
) -> None:
    waiting = iter(troubles)
    sink = FailingSink(lambda method, _: next(waiting, None) if method == "write" else None)
    sink.delivery = delivery
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(linger=0.0, max_bytes=size, max_elapsed=30.0))
        for _ in range(2):
            with fan.open() as stream:
                for text in texts:
                    stream.write(text)

    metrics = metrics_of(fan)
    left = sum(discarded(metrics).values(), Amount())
    assert metrics.received == Amount(2 * len(texts), 2 * len("".join(texts).encode()))
    assert metrics.sent + left == metrics.received
    assert metrics.buffer_bytes == 0
    assert sum(metrics.send_duration.counts) == len(sink.chunks)


def test_counters_never_go_back_whoever_looks() -> None:
    trouble = iter([None, Retryable("later"), None, Permanent("no")] * 50)
    sink = FailingSink(lambda method, _: next(trouble, None) if method == "write" else None)
    seen: list[tuple[Amount, Amount, Amount]] = []
    over = threading.Event()
    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(linger=0.0, max_bytes=4))

        def look() -> None:
            while not over.is_set():
                metrics = metrics_of(fan)
                seen.append((metrics.received, metrics.sent, sum(discarded(metrics).values(), Amount())))

        watcher = threading.Thread(target=look)
        watcher.start()
        for _ in range(40):
            with fan.open() as stream:
                for _ in range(20):
                    stream.write("text")
        fan.close()
    over.set()
    watcher.join()

    for before, after in pairwise(seen):
        assert all(
            one.events <= other.events and one.bytes <= other.bytes for one, other in zip(before, after, strict=True)
        )


# Streams


def test_streams_are_counted_by_how_they_ended() -> None:
    with Fan() as fan:
        for reason in ("stop", "stop", "length"):
            with fan.open() as stream:
                stream.write("tö", [1, 2])
                stream.end(reason)
        running = fan.open()
        running.write("open", [3])
        wait_until(lambda: fan.report.metrics.running == 1)
        meanwhile = fan.report.metrics
        running.fail("broken")

    ended = {each.finish_reason: each.count for each in meanwhile.ended}
    assert ended == {"stop": 2, "length": 1, "cancelled": 0, "error": 0}
    assert (meanwhile.bytes, meanwhile.tokens) == (13, 7)
    assert {each.finish_reason: each.count for each in fan.report.metrics.ended}["error"] == 1
    assert sum(meanwhile.ttft.counts) == 3


def test_stream_that_a_hung_sink_still_has_is_counted_when_it_ends() -> None:
    sink = GatedSink("write")
    fan = Fan(sink)
    with fan.open() as stream:
        stream.write("text")

    wait_until(lambda: fan.report.metrics.running == 0)

    assert fan.report.finished == 0
    sink.gate.set()
    fan.close()
    assert {each.finish_reason: each.count for each in fan.report.metrics.ended}["stop"] == 1


def test_time_per_token_is_that_after_the_first_text() -> None:
    with Fan() as fan:
        with fan.open() as stream:
            for token in range(5):
                stream.write("x", [token])
        with fan.open() as other:
            other.write("x", [1])

    one, two = fan.report.streams
    assert (one.ttft, one.duration) == (stream.ttft, stream.duration)
    assert one.tpot is not None
    assert one.duration is not None
    assert one.ttft is not None
    assert one.tpot == pytest.approx((one.duration - one.ttft) / 4)
    assert two.tpot is None, "one token has no time between tokens"
    assert sum(fan.report.metrics.tpot.counts) == 1


def test_durations_are_counted_below_their_bounds() -> None:
    durations = Durations([1.0, 2.0])

    for seconds in (0.5, 1.0, 1.5, 2.5, 3.5):
        durations.add(seconds)

    assert (durations.read().counts, durations.read().sum) == ((2, 1, 2), 9.0)


def test_nothing_is_counted_on_the_thread_that_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    for owner, method in (
        (Counters, "send"),
        (Counters, "settle"),
        (StreamCounters, "end"),
        (Stream, "pieces"),
        (Stream, "tpot"),
    ):
        _note_thread(monkeypatch, owner, method, threads)

    with Fan(MemorySink()) as fan:
        for _ in range(3):
            with fan.open() as stream:
                for token in range(50):
                    stream.write("text", [token])
        fan.close()
        before = set(threads)

    assert before
    assert threading.get_ident() not in before


def _note_thread(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, threads: set[int]) -> None:
    original = vars(owner)[name]
    call: Any = original.fget if isinstance(original, property) else original

    def noting(*args: object) -> object:
        threads.add(threading.get_ident())
        return call(*args)

    monkeypatch.setattr(owner, name, property(noting) if isinstance(original, property) else noting)


def test_report_with_its_metrics_is_plain_json() -> None:
    with Fan(FailingSink(always("write", Permanent("no")))) as fan, fan.open() as stream:
        stream.write("text")

    text = json.dumps(fan.report.to_dict(), allow_nan=False)

    (sink,) = json.loads(text)["sinks"]
    assert sink["metrics"]["received"] == {"events": 1, "bytes": 4}
    assert sink["metrics"]["errors"] == [{"stage": "write", "error_type": "refused", "count": 1}]
