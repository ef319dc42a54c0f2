"""The stand-ins for the two ends of a fan: a sink that keeps every call, a scripted source, a text that is played."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from streamfan.errors import Permanent, UsageError
from streamfan.events import Chunk
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.testing import RecordingSink, ScriptedSource, chunks, ending, new_stream, play

# Made by hand


def test_streams_are_new_but_for_what_is_said() -> None:
    first, second = new_stream(model="m"), new_stream(id="story", attempt=7)

    assert (first.model, second.id, second.attempt) == ("m", "story", 7)
    assert first.id != new_stream().id


def test_chunks_follow_one_another_and_the_end_proves_them() -> None:
    stream = new_stream()
    first, second = chunks(stream, "día", " upon")

    end = ending(stream, "día upon", finish_reason="length")

    assert (first.offset, first.end, second.offset) == (0, 4, 4)
    assert (end.stream, end.attempt, end.offset) == (stream.id, stream.attempt, second.end)
    assert (end.finish_reason, end.complete) == ("length", True)
    assert end.sha256 == hashlib.sha256(first.data + second.data).hexdigest()


# RecordingSink


def test_every_call_is_kept_in_order() -> None:
    sink = RecordingSink()

    play("one two", sink, id="s")

    assert sink.methods[:2] == ["connect", "open"]
    assert sink.methods[-2:] == ["close", "disconnect"]
    assert sink.text() == sink.text("s") == "one two"
    assert [stream.id for stream in sink.streams] == ["s"]
    assert [end.offset for end in sink.ends("s")] == [7]
    assert sink.text("other") == ""


def test_call_can_be_waited_for() -> None:
    sink = RecordingSink()
    with Fan(sink) as fan, fan.open() as stream:
        stream.write("text")
        sink.wait_for("write")

        assert sink.text() == "text"


def test_call_that_does_not_come_is_told_with_those_that_came() -> None:
    sink = RecordingSink()
    sink.connect()

    with pytest.raises(TimeoutError, match=r"write\(\) was called 0 times, expected 2: \['connect'\]"):
        sink.wait_for("write", 2, timeout=0.0)


@pytest.mark.timeout(60)
def test_long_recording_costs_no_more_per_call_than_a_short_one() -> None:
    # Were the calls before it copied with each, this would take many minutes.
    sink = RecordingSink()
    for _ in range(200_000):
        sink.connect()

    assert len(sink.calls) == 200_000


# ScriptedSource


def test_source_waits_for_its_events() -> None:
    sink, more = RecordingSink(), threading.Event()
    source = ScriptedSource("Once", more, " upon", id="s")
    with Fan(sink) as fan:
        thread = threading.Thread(target=source.run, args=(fan,))
        thread.start()
        sink.wait_for("write")
        before = sink.text()
        more.set()
        thread.join()

    assert (before, sink.text()) == ("Once", "Once upon")
    assert sink.ends("s")[0].finish_reason == "stop"


def test_exception_is_what_the_stream_fails_with() -> None:
    sink = RecordingSink()
    with Fan(sink) as fan:
        ScriptedSource("Once", RuntimeError("out of memory"), " never").run(fan)

    (end,) = sink.ends()
    assert sink.text() == "Once"
    assert end.error is not None
    assert (end.error.type, end.error.message) == ("RuntimeError", "out of memory")


def test_source_that_waits_hears_a_cancellation() -> None:
    sink, never = RecordingSink(), threading.Event()
    source = ScriptedSource("Once", never, " never")
    with Fan(sink) as fan:
        thread = threading.Thread(target=source.run, args=(fan,))
        thread.start()
        sink.wait_for("write")
        fan.cancel("enough")
        thread.join()

    assert sink.text() == "Once"
    assert sink.ends()[0].finish_reason == "cancelled"
    assert not never.is_set()


def test_event_that_nobody_sets_fails_the_stream() -> None:
    sink = RecordingSink()
    with Fan(sink) as fan:
        ScriptedSource(threading.Event(), patience=0.0).run(fan)

    (end,) = sink.ends()
    assert end.error is not None
    assert end.error.type == "SourceError"


# play


def test_text_is_played_to_every_kind_of_sink(tmp_path: Path) -> None:
    sink, heard = RecordingSink(), list[str]()

    report = play("Größe \n und mehr ", sink, lambda text, end: heard.append(text), f"file:{tmp_path}/answer.txt")

    assert report.failures == ()
    assert sink.text() == "".join(heard) == "Größe \n und mehr "
    assert {delivery.complete for delivery in report.streams[0].deliveries} == {True}


def test_pieces_are_written_as_they_are_given() -> None:
    sink = RecordingSink()

    play(iter(["a", "", "b"]), sink, lane=LaneOptions(max_bytes=4))

    assert sink.text() == "ab"


def test_failure_is_in_the_report() -> None:
    class Refusing(RecordingSink):
        def write(self, chunk: Chunk) -> None:
            raise Permanent("full")

    report = play("text", Refusing())

    assert [failure.error for failure in report.failures] == ["full"]


def test_unknown_sink_is_refused() -> None:
    with pytest.raises(UsageError):
        play("text", "nosuchsink")
