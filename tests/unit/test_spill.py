"""What a sink was not given is kept, as a recording that can be published again."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import UsageError
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.recording import lines, record
from streamfan.sources.recording import RecordingSource
from streamfan.spill import Spill
from tests.support.limits import largest_file
from tests.support.sinks import FailingSink, MemorySink, always

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan.events import Chunk
    from streamfan.report import StreamReport
    from streamfan.stream import Stream


def replayed(path: Path) -> tuple[str, list[tuple[int, ...]]]:
    """The text that a sink is given when the recording is published, and its token ids."""
    sink = MemorySink()
    source = RecordingSource(str(path))
    with Fan(sink) as fan:
        from streamfan.source import Request

        source.load(Request())
        source.run(fan, Request())
    return sink.text(), [chunk.token_ids for chunk in sink.chunks]


def test_stream_that_a_sink_failed_is_kept_whole_and_the_others_are_not(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "spill")
    with Fan(MemorySink()) as fan:
        fan.observe(spill)
        with fan.open("fine") as stream:
            stream.write("all is well")
    with Fan(MemorySink(), FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open("lost", attempt=9**15) as stream:
            stream.write("héllo ", [1])
            stream.write("wörld", [2, 3])

    assert [path.name for path in (tmp_path / "spill").iterdir()] == [f"lost-{9**15}.jsonl"]
    (path,) = spill.kept.values()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert replayed(path) == ("héllo wörld", [(1, 2, 3)])


def test_stream_of_a_sink_that_hangs_is_kept_when_the_fan_is_closed(tmp_path: Path) -> None:
    released = threading.Event()

    class Hung(MemorySink):
        def write(self, chunk: Chunk) -> None:
            released.wait()

    spill = Spill(tmp_path)
    fan = Fan(close_timeout=0.2)
    fan.add(Hung(), lane=LaneOptions(call_timeout=0.1))
    fan.observe(spill)
    with fan.open("s") as stream:
        stream.write("text")
    fan.close()
    released.set()

    (path,) = spill.kept.values()
    assert replayed(path)[0] == "text"


def test_stream_that_fails_again_when_it_is_sent_again_is_kept_once(tmp_path: Path) -> None:
    spills = [Spill(tmp_path) for _ in range(4)]
    for spill, text in zip(spills, ("text", "text", "te", "te"), strict=True):
        with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
            fan.observe(spill)
            with fan.open("s", attempt=7) as stream:
                stream.write(text)

    whole, part = tmp_path / "s-7.jsonl", tmp_path / "s-7-2.jsonl"
    assert [spill.kept["s", 7] for spill in spills] == [whole, whole, part, part]
    assert (replayed(whole)[0], replayed(part)[0]) == ("text", "te")


def test_recording_keeps_pieces_ids_and_the_end(tmp_path: Path) -> None:
    with Fan(MemorySink()) as fan, fan.open("s", model="m", meta={"a": 1}) as stream:
        stream.write("", [7])
        stream.write("a", [8])
        stream.write("bc", [])
        stream.write("", [9])

    events = [line.event for line in lines(record(stream))]

    assert [type(event).__name__ for event in events] == ["Start", "Text", "Text", "End"]
    assert [getattr(event, "token_ids", None) for event in events] == [None, (7, 8), (), (9,)]


def test_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be made"):
        Spill(tmp_path / "file" / "folder")


def test_folder_is_made_with_the_first_recording(tmp_path: Path) -> None:
    Spill(tmp_path / "a" / "b")

    assert not list(tmp_path.iterdir())


def test_half_a_recording_that_a_killed_program_has_left_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "s-7.123.part").write_text('{"type":"start"')
    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open("s", attempt=7) as stream:
            stream.write("text")

    assert replayed(tmp_path / "s-7.jsonl")[0] == "text"


def test_observer_that_does_not_return_keeps_no_recording_from_being_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    def hung(stream: Stream, report: StreamReport) -> None:
        released.wait()

    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused"))), close_timeout=0.2) as fan:
        fan.observe(hung)
        fan.observe(spill)
        for id in ("a", "b", "c"):
            with fan.open(id) as stream:
                stream.write("text")
    released.set()

    assert [id for id, _ in spill.kept] == ["a", "b", "c"]
    (told,) = [record.getMessage() for record in caplog.records if record.name == "streamfan.observers"]
    assert "hung" in told
    assert "not done in time with 3 streams" in told


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: Path(path).symlink_to("nowhere")])
def test_what_is_no_file_is_in_nobodys_way(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "s-7.jsonl")
    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open("s", attempt=7) as stream:
            stream.write("text")

    assert spill.kept == {("s", 7): tmp_path / "s-7-2.jsonl"}
    assert replayed(tmp_path / "s-7-2.jsonl")[0] == "text"


def test_pipe_with_the_name_of_an_unfinished_recording_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"s-7.{os.getpid()}.part")
    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open("s", attempt=7) as stream:
            stream.write("text")

    assert replayed(spill.kept["s", 7])[0] == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["s-7.jsonl"]


def test_folder_that_is_full_is_told_of_once_in_a_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spill = Spill(tmp_path)
    with largest_file(10), Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        for _ in range(20):
            with fan.open() as stream:
                stream.write("text")

    assert (spill.kept, spill.unkept) == ({}, 20)
    assert len([record for record in caplog.records if record.name == "streamfan.spill"]) == 1


def test_large_piece_becomes_lines_that_can_be_read(tmp_path: Path) -> None:
    # Of one, two and four bytes each, so that any place to cut at is inside one.
    text = "aé😀" * 400_000
    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open("s") as stream:
            stream.write(text, [1, 2])

    (path,) = spill.kept.values()
    assert max(map(len, path.read_bytes().splitlines())) < 2 << 20
    assert replayed(path)[0] == text


def test_recording_that_cannot_be_written_is_told_and_leaves_nothing_half(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(stream: Stream) -> Iterator[bytes]:
        yield b"half of it"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streamfan.spill.record", full)
    spill = Spill(tmp_path)
    with Fan(FailingSink(always("write", ValueError("refused")))) as fan:
        fan.observe(spill)
        with fan.open() as stream:
            stream.write("text")

    assert not list(tmp_path.iterdir())
    assert not spill.kept
    (told,) = [record for record in caplog.records if record.name == "streamfan.spill"]
    assert (told.levelno, "No space left" in told.getMessage()) == (logging.ERROR, True)


def test_folder_whose_name_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        Spill(tmp_path / ("x" * 300))
