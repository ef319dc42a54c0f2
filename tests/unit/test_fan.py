"""Several sinks side by side: none can slow, break or lose text for another."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamfan.errors import Retryable, SinksFailed, SpecError, StreamFailed, UsageError
from streamfan.events import Cancellation, Fault, Start, encode
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.report import State, StreamReport
from streamfan.sink import Delivery, Sink
from streamfan.stream import Stream
from tests.support.sinks import DEADLINE, FailingSink, GatedSink, MemorySink, always, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan.events import Chunk, StreamInfo

TEXT = [f"piece {number} ☕ " for number in range(300)]
QUICK = LaneOptions(call_timeout=0.1)


class SlowSink(MemorySink):
    """Takes one chunk for every ten that are published."""

    name = "slow"

    def __init__(self, turn: threading.Semaphore) -> None:
        super().__init__()
        self._turn = turn

    def write(self, chunk: object) -> None:
        self._turn.acquire(timeout=DEADLINE)
        super().write(chunk)  # type: ignore[arg-type]


@pytest.mark.guarantee("any sink", "hung")
@pytest.mark.guarantee("any sink", "raising")
def test_healthy_sinks_hold_every_byte_beside_a_slow_a_raising_and_a_hung_one() -> None:
    turn = threading.Semaphore(1)
    healthy, other, slow = MemorySink(), MemorySink(), SlowSink(turn)
    raising, hung = FailingSink(always("write", ValueError("broken"))), GatedSink("write")
    with Fan(healthy, slow, raising) as fan:
        fan.add(other, id="other")
        fan.add(hung, lane=QUICK)
        with fan.open() as stream:
            for number, text in enumerate(TEXT):
                stream.write(text)
                if number % 10 == 0:
                    turn.release()
        turn.release(1000)

    whole = "".join(TEXT)
    assert (healthy.text(), other.text(), slow.text()) == (whole, whole, whole)
    assert len(slow.chunks) < len(TEXT), "text that waits is merged, not queued"
    assert [report.id for report in fan.report.failures] == ["failing", "gated"]
    hung.gate.set()


def test_what_one_sink_is_given_again_comes_to_no_other() -> None:
    # Every second of its first calls fails, and is made again.
    healthy, failing = (
        MemorySink(),
        FailingSink(
            lambda method, before: Retryable("again") if method == "write" and before < 10 and before % 2 == 0 else None
        ),
    )
    with Fan(healthy) as fan:
        fan.add(failing, lane=LaneOptions(max_bytes=8, linger=0.0))
        with fan.open() as stream:
            for text in TEXT:
                stream.write(text)

    whole = "".join(TEXT)
    assert fan.report.sinks[1].retries == 5
    assert (failing.text(), healthy.text()) == (whole, whole)
    assert healthy.calls == ["connect", "open", *["write"] * len(healthy.chunks), "close", "disconnect"]
    assert [chunk.offset for chunk in healthy.chunks] == [0, *(chunk.end for chunk in healthy.chunks)][:-1]


def test_writing_returns_while_every_sink_is_blocked() -> None:
    sinks = [GatedSink("connect"), GatedSink("open"), GatedSink("write")]
    fan = Fan()
    for number, sink in enumerate(sinks):
        fan.add(sink, id=f"s{number}")
    stream = fan.open()
    stream.write("first")
    for sink in sinks:
        wait_for(sink.inside)

    for text in TEXT:
        stream.write(text)
    stream.end()

    assert not any(sink.gate.is_set() for sink in sinks), "every sink was blocked until here"
    for sink in sinks:
        sink.gate.set()
    fan.close()
    assert [sink.text() for sink in sinks] == ["first" + "".join(TEXT)] * 3


@settings(max_examples=30)
@given(st.lists(st.text(max_size=6), max_size=30), st.integers(1, 4))
def test_every_sink_gets_the_text_that_was_written(texts: list[str], streams: int) -> None:
    sinks = [MemorySink(), MemorySink()]
    with Fan() as fan:
        for number, sink in enumerate(sinks):
            fan.add(sink, id=f"s{number}", lane=LaneOptions(max_bytes=5))
        opened = [fan.open(row=row) for row in range(streams)]
        for text in texts:
            for stream in opened:
                stream.write(text)
        for stream in opened:
            stream.end()

    for stream in opened:
        assert [sink.text(stream.id) for sink in sinks] == [stream.text] * 2
    assert fan.report.finished == streams


def test_sink_that_is_added_late_gets_the_text_from_the_start() -> None:
    late = MemorySink()
    with Fan() as fan, fan.open() as stream:
        stream.write("before ")
        fan.add(late)
        stream.write("after")

    assert late.text() == "before after"


def test_fan_without_sinks_is_of_use_to_its_readers() -> None:
    with Fan() as fan, fan.open() as stream:
        stream.write("text")

    assert "".join(stream) == "text"
    assert fan.report.finished == 1


def test_callables_are_sinks() -> None:
    got: list[tuple[str, bool]] = []
    also: list[str] = []
    fan = Fan(lambda text, end: got.append((text, end)), lambda text, _: also.append(text))
    with fan, fan.open() as stream:
        stream.write("text")

    assert got == [("text", False), ("", True)]
    assert "".join(also) == "text"
    assert [report.id for report in fan.report.sinks] == ["callback", "callback2"]


def test_wrong_sink_among_right_ones_leaves_nothing_behind() -> None:
    before = threading.active_count()

    with pytest.raises(SpecError, match="two sinks are called 'memory'"):
        Fan(MemorySink(), MemorySink())

    assert threading.active_count() == before


def test_one_sink_object_serves_one_lane() -> None:
    sink = MemorySink()
    with Fan(sink) as fan, pytest.raises(UsageError, match="in this fan already"):
        fan.add(sink, id="again")


def test_sink_class_without_a_name_is_refused() -> None:
    class Nameless(Sink):
        def write(self, chunk: object) -> None: ...

    with pytest.raises(UsageError, match="Nameless' has no name"):
        Fan(Nameless())


def test_callback_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError("in a callback")

    sink = MemorySink()
    with Fan(sink) as fan:
        with fan.open() as first_stream, fan.open() as second:
            first_stream.on_end(fail)
            first_stream.on_cancel(fail)
            fan.cancel("enough", by="ann")
            assert second.cancelled is not None
        with fan.open() as stream:
            stream.write("text")

    assert sink.text() == "text"
    assert len([record for record in caplog.records if "a callback failed" in record.message]) == 2


def test_stream_that_is_open_when_its_fan_is_left_by_an_error_knows_the_error() -> None:
    sink = MemorySink()

    with pytest.raises(ZeroDivisionError), Fan(sink) as fan:
        fan.open().write("partial")
        raise ZeroDivisionError("by zero")

    assert sink.ends[0].error is not None
    assert sink.ends[0].error.message == "by zero"


def test_stream_that_was_asked_to_stop_is_cancelled_when_its_fan_closes() -> None:
    sink = MemorySink()
    with Fan(sink) as fan:
        fan.open().cancel("enough", by="ann")

    assert sink.ends[0].finish_reason == "cancelled"


def test_same_id_twice_is_an_error_that_shows_how_to_name_them() -> None:
    with Fan(MemorySink()) as fan, pytest.raises(SpecError, match=r"two sinks .* 'memory'"):
        fan.add(MemorySink())


@pytest.mark.parametrize("id", ["", "Upper", "1st", "a-b", "run"])
def test_malformed_or_reserved_sink_id_is_refused(id: str) -> None:
    with Fan() as fan, pytest.raises(SpecError, match=re.escape(repr(id))):
        fan.add(MemorySink(), id=id)


@pytest.mark.parametrize("id", ["", "a/b", "..", "-x", "é", "x" * 65])
def test_malformed_stream_id_is_refused(id: str) -> None:
    with Fan() as fan, pytest.raises(UsageError, match="malformed"):
        fan.open(id)


def test_attempt_below_one_is_refused() -> None:
    with Fan() as fan, pytest.raises(UsageError, match="attempt 0"):
        fan.open(attempt=0)


def test_names_that_no_encoding_has_are_made_well_formed() -> None:
    sink = MemorySink()
    with Fan(sink) as fan:
        with fan.open(model="m\ud800\ud83d\ude00") as stream:
            stream.cancel("why\udce9", by="who\udce9")
        failed = fan.open()
        failed.fail(ValueError("half \udce9"))

    assert stream.info.model == "m\ufffd😀"
    encode(Start.of(stream.info))
    for end in sink.ends:
        encode(end)
    assert sink.ends[0].cancel == Cancellation("why\ufffd", "who\ufffd")


@pytest.mark.parametrize("value", ["\ud800", object(), {"a": ["\udce9"]}])
def test_meta_that_no_reader_can_be_told_of_is_refused(value: object) -> None:
    with Fan() as fan, pytest.raises(UsageError, match="meta has no JSON form"):
        fan.open(meta={"key": value})


def test_attempt_that_was_opened_before_is_refused_also_when_it_has_ended() -> None:
    sink = MemorySink()
    with Fan(sink) as fan:
        with fan.open("x", attempt=5) as stream:
            stream.write("first")

        with pytest.raises(UsageError, match=r"attempt 5 of stream 'x' is not later than attempt 5"):
            fan.open("x", attempt=5)
        with fan.open("x", attempt=6) as again:
            again.write("second")

    assert [(chunk.stream.attempt, chunk.text) for chunk in sink.chunks] == [(5, "first"), (6, "second")]


def test_what_is_no_sink_is_refused_before_anything_starts() -> None:
    before = threading.active_count()

    with pytest.raises(UsageError, match="42 is no sink"):
        Fan(MemorySink(), 42)  # type: ignore[arg-type]

    assert threading.active_count() == before


def test_generated_ids_sort_by_time_and_are_unique() -> None:
    with Fan() as fan:
        ids = []
        for _ in range(200):
            with fan.open() as stream:
                ids.append(stream.id)

    assert len(set(ids)) == 200
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-z]{8}", id) for id in ids)
    seconds = [id.rpartition("-")[0] for id in ids]
    assert seconds == sorted(seconds)


def test_fan_that_is_closed_opens_nothing() -> None:
    with Fan() as fan:
        pass

    with pytest.raises(UsageError, match="closed"):
        fan.open()
    with pytest.raises(UsageError, match="closed"):
        fan.add(MemorySink())


def test_stream_that_was_left_open_fails_when_the_fan_closes() -> None:
    sink = MemorySink()
    with Fan(sink) as fan:
        stream = fan.open()
        stream.write("half")

    assert sink.ends[0].finish_reason == "error"
    with pytest.raises(StreamFailed, match="closed before"):
        "".join(stream)


def test_closing_twice_is_harmless() -> None:
    sink = MemorySink()
    fan = Fan(sink)

    fan.close()
    fan.close()

    assert sink.calls.count("disconnect") == 1


def test_sink_may_close_the_fan() -> None:
    class Closing(MemorySink):
        def write(self, chunk: object) -> None:
            super().write(chunk)  # type: ignore[arg-type]
            fan.close(timeout=5)

    sink = Closing()
    fan = Fan(sink)
    stream = fan.open()

    stream.write("text")

    wait_for(sink.closed)
    assert sink.calls.count("close") == 1


@pytest.mark.guarantee("any sink", "shutdown")
def test_close_timeout_holds_for_all_sinks_together() -> None:
    sinks = [GatedSink("write") for _ in range(5)]
    fan = Fan(close_timeout=0.3)
    for number, sink in enumerate(sinks):
        fan.add(sink, id=f"s{number}")
    with fan.open() as stream:
        stream.write("text")
    for sink in sinks:
        wait_for(sink.inside)
    closed = threading.Event()

    def close() -> None:
        fan.close()
        closed.set()

    closer = threading.Thread(target=close)

    closer.start()

    # Five sinks, 30 s of patience each: only a deadline for all of them together lets this return.
    wait_for(closed)
    assert len(fan.report.failures) == 5
    for sink in sinks:
        sink.gate.set()


def test_interrupt_in_with_cancels_and_delivers_what_there_is() -> None:
    sink = MemorySink()

    with pytest.raises(KeyboardInterrupt), Fan(sink) as fan:
        stream = fan.open()
        stream.write("partial")
        raise KeyboardInterrupt

    assert (sink.text(), sink.ends[0].finish_reason) == ("partial", "cancelled")


def test_cancel_reaches_every_open_stream_and_no_other() -> None:
    with Fan() as fan:
        done, one, two = fan.open(), fan.open(), fan.open()
        done.end()

        before = fan.cancelled
        fan.cancel("enough", by="ann")

        assert [bool(stream.cancelled) for stream in (done, one, two)] == [False, True, True]
        assert (before, fan.cancelled) == (False, True)


def test_sink_can_cancel_the_stream_it_is_given() -> None:
    class Watchful(MemorySink):
        def write(self, chunk: object) -> None:
            super().write(chunk)  # type: ignore[arg-type]
            if "badword" in self.text():
                self.chunks[-1].stream.cancel("badword", by=self.name)

    heard = threading.Event()
    with Fan(Watchful()) as fan, fan.open() as stream:
        stream.on_cancel(heard.set)
        stream.write("a badword")
        wait_for(heard)

    assert stream.outcome is not None
    assert stream.outcome.cancel is not None
    assert (stream.finish_reason, stream.outcome.cancel.by) == ("cancelled", "memory")


def test_fan_works_in_async_with() -> None:
    sink = MemorySink()

    async def main() -> str:
        async with Fan(sink) as fan:
            with fan.open() as stream:
                stream.write("text")
            return "".join([text async for text in stream])

    assert asyncio.run(main()) == "text" == sink.text()


def test_report_says_what_became_of_each_sink_and_stream() -> None:
    healthy, broken = MemorySink(), FailingSink(always("write", ValueError("broken")))
    with Fan(healthy, broken) as fan, fan.open(model="m") as stream:
        stream.write("héllo", [1, 2])

    report = fan.report
    assert [(sink.id, sink.state, sink.bytes, sink.complete, sink.error) for sink in report.sinks] == [
        ("memory", State.CLOSED, 6, 1, None),
        ("failing", State.FAILED, 0, 0, "ValueError: broken"),
    ]
    (only,) = report.streams
    assert (only.model, only.bytes, only.tokens, only.finish_reason) == ("m", 6, 2, "stop")
    right = {each.sink: each.sha256 == only.sha256 for each in only.deliveries}
    assert right == {"memory": True, "failing": False}
    with pytest.raises(SinksFailed, match=r"'failing'.*broken.*6 bytes not delivered"):
        report.raise_for_failures()


def test_failure_of_a_sink_that_is_not_required_does_not_count() -> None:
    with Fan() as fan:
        fan.add(FailingSink(always("write", ValueError("broken"))), lane=LaneOptions(required=False))
        with fan.open() as stream:
            stream.write("text")

    fan.report.raise_for_failures()
    assert fan.report.sinks[0].failed


def test_report_shows_the_lag_of_a_blocked_sink() -> None:
    sink = GatedSink("write")
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("text")
        wait_for(sink.inside)

        report = fan.report.sinks[0]

        sink.gate.set()
    assert (report.missing, report.lag > 0) == (4, True)
    assert (fan.report.sinks[0].lag, fan.report.sinks[0].max_lag > 0) == (0.0, True)


def test_report_remembers_the_last_thousand_streams() -> None:
    last = ""
    with Fan() as fan:
        for _ in range(1001):
            with fan.open() as stream:
                last = stream.id

    assert fan.report.finished == 1001
    assert len(fan.report.streams) == 1000
    assert fan.report.streams[-1].id == last


def test_finished_stream_is_freed() -> None:
    finished = threading.Event()
    with Fan(MemorySink()) as fan:
        fan.observe(lambda *_: finished.set())
        stream: Stream | None = fan.open()
        assert stream is not None
        stream.write("text")
        stream.end()
        wait_for(finished)
        gone = weakref.ref(stream)
        stream = None
        # The observers' thread holds the last one it has told of.
        with fan.open():
            pass
        fan.close()

        assert gone() is None


def test_text_is_held_once_however_many_sinks_wait() -> None:
    sinks = [GatedSink("write") for _ in range(20)]
    piece, pieces = "x" * 4096, 1000
    fan = Fan()
    for number, sink in enumerate(sinks):
        fan.add(sink, id=f"s{number}")
    stream = fan.open()
    stream.write("first")
    for sink in sinks:
        wait_for(sink.inside)

    tracemalloc.start()
    for _ in range(pieces):
        stream.write(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 1.5 * len(piece) * pieces
    for sink in sinks:
        sink.gate.set()
    stream.end()
    fan.close()


def test_report_reads_well() -> None:
    with Fan(MemorySink(), FailingSink(always("write", ValueError("broken")))) as fan, fan.open() as stream:
        stream.write("text" * 1000)

    assert str(fan.report).splitlines() == [
        "sink 'memory': closed; 4,000 bytes delivered",
        "sink 'failing': ValueError: broken; 4,000 bytes not delivered; 0 bytes delivered",
    ]


def test_advice_comes_last() -> None:
    with Fan(FailingSink(always("write", ValueError("broken\nTry: another")))) as fan, fan.open() as stream:
        stream.write("text")

    assert str(fan.report.sinks[0]) == "sink 'failing': ValueError: broken; 4 bytes not delivered\nTry: another"


def test_deadline_that_comes_nearer_while_a_fan_closes_is_kept() -> None:
    sink = GatedSink("write")
    fan = Fan(sink)
    with fan.open() as stream:
        stream.write("text")
    wait_for(sink.inside)
    closing, closed = threading.Event(), threading.Event()

    def close() -> None:
        closing.set()
        fan.close()
        closed.set()

    threading.Thread(target=close, daemon=True).start()
    wait_for(closing)
    fan.expire(0.1)

    # The lane's own patience is 30 s.
    wait_for(closed)
    sink.gate.set()


def test_observer_is_told_of_each_finished_stream_once_with_its_report() -> None:
    told: list[tuple[str, str, bool]] = []

    def observe(stream: Stream, report: StreamReport) -> None:
        told.append((stream.id, report.id, report.deliveries[0].complete))

    with Fan(MemorySink()) as fan:
        fan.observe(observe)
        for _ in range(3):
            with fan.open() as stream:
                stream.write("text")

    assert [(one == other, complete) for one, other, complete in told] == [(True, True)] * 3


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_observer_that_raises_disturbs_nobody(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def broken(stream: Stream, report: StreamReport) -> None:
        raise error("broken observer")

    with caplog.at_level(logging.ERROR), Fan(MemorySink()) as fan:
        fan.observe(broken)
        fan.observe(lambda stream, _: told.append(stream.id))
        with fan.open() as stream:
            stream.write("text")

    assert told == [stream.id]
    assert "broken observer" in caplog.text


def test_each_change_of_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = FailingSink(always("write", ValueError("broken")))
    with caplog.at_level(logging.INFO, "streamfan.lane"), Fan(sink) as fan:
        for _ in range(3):
            with fan.open() as stream:
                stream.write("text")

    failed = [record for record in caplog.records if "is failed" in record.message]
    assert [record.message for record in failed] == ["sink 'failing' is failed: ValueError: broken"]


def test_report_does_not_raise_because_of_what_a_sink_calls_itself() -> None:
    class Nameless(MemorySink):
        @property
        def label(self) -> str:
            raise ValueError("not yet")

    with Fan(Nameless()) as fan, fan.open() as stream:
        stream.write("text")
        assert fan.report.sinks[0].target is None

    assert fan.report.sinks[0].complete == 1


class Unspeakable(Exception):
    """An error that fails when it is asked what it is."""

    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


@pytest.mark.parametrize("method", ["connect", "open", "write", "close", "disconnect"])
def test_error_that_has_no_words_is_named_by_its_type(method: str) -> None:
    with Fan(FailingSink(always(method, Unspeakable()))) as fan, fan.open() as stream:
        stream.write("text")

    assert fan.report.sinks[0].error == "Unspeakable"
    assert fan.report.finished == 1


def test_stream_ends_also_by_an_error_that_has_no_words() -> None:
    with Fan() as fan:
        stream = fan.open()
        stream.fail(Unspeakable())

    assert stream.outcome is not None
    assert stream.outcome.error == Fault("Unspeakable", "")


def test_password_in_a_target_is_in_no_report() -> None:
    class Remote(MemorySink):
        name = "remote"

        def __init__(self) -> None:
            Sink.__init__(self, "redis://user:hunter2@host/0")
            super().__init__()
            self.target = "redis://user:hunter2@host/0"

    with Fan(Remote()) as fan:
        pass

    assert "hunter2" not in repr(fan.report)
    assert fan.report.sinks[0].target == "redis://***@host/0"


def test_options_of_a_sink_are_given_by_name(tmp_path: Path) -> None:
    with Fan() as fan:
        assert fan.add(f"file:{tmp_path}/a.jsonl", format="jsonl") == "file"
        with fan.open() as stream:
            stream.write("text")

    assert (tmp_path / "a.jsonl").read_text().startswith('{"v":1')


@pytest.mark.parametrize(
    ("sink", "options", "said"),
    [
        ("file:x", {"formt": "jsonl"}, r"sink 'file' has no option 'formt'.*format"),
        ("file:x", {"format": "s3cr3t"}, r"sink 'file', option 'format': Input should be"),
        (MemorySink(), {"format": "jsonl"}, r"options \(format\) belong to a specification"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(sink: str | Sink, options: dict[str, Any], said: str) -> None:
    with Fan() as fan, pytest.raises(UsageError, match=said) as caught:
        fan.add(sink, **options)

    assert "s3cr3t" not in str(caught.value)


class Shelf(Sink):
    """A destination that outlives its sinks, and knows what it has of each attempt."""

    name = "shelf"
    delivery = Delivery.EXACTLY_ONCE
    texts: ClassVar[dict[tuple[str, int], bytes]] = {}

    def open(self, stream: StreamInfo) -> int:
        return len(self.texts.setdefault((stream.id, stream.attempt), b""))

    def write(self, chunk: Chunk) -> None:
        self.texts[chunk.stream.id, chunk.stream.attempt] += chunk.data


def test_attempt_that_is_published_again_goes_on_where_an_earlier_program_left_it() -> None:
    Shelf.texts.clear()
    reports = []
    for text in ("Once ", "Once upon a time", "Once upon a time"):
        with Fan(Shelf()) as fan, fan.open("s", attempt=7, writer="another") as stream:
            for letter in text:
                stream.write(letter)
        fan.report.raise_for_failures()
        reports.append(fan.report)

    assert Shelf.texts == {("s", 7): b"Once upon a time"}
    assert [report.sinks[0].bytes for report in reports] == [5, 16, 16]
    assert all(report.streams[0].deliveries[0].sha256 == report.streams[0].sha256 for report in reports)


def test_attempt_that_comes_again_with_less_text_than_there_is_fails_there() -> None:
    Shelf.texts = {("s", 7): b"Once upon a time"}
    with Fan(Shelf()) as fan, fan.open("s", attempt=7, writer="another") as stream:
        stream.write("Once")

    assert "open() returned 16" in str(fan.report.sinks[0].error)
    assert Shelf.texts == {("s", 7): b"Once upon a time"}
