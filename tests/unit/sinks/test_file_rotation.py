from __future__ import annotations

import errno
import gzip
import logging
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.events import Text, decode
from streamfan.sinks.file import FileOptions, FileSink
from streamfan.sinks.file.compress import Compressor
from streamfan.sinks.file.location import Location
from tests.support.deliveries import chunks, deliver
from tests.support.faults import injects
from tests.support.files import JSONL, connected, events_of, mode_of, names, text_of
from tests.support.limits import free_descriptors, unprivileged
from tests.support.sinks import wait_for
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINES = [str(number) * 40 for number in range(10)]


def options(**more: object) -> FileOptions:
    return FileOptions.model_validate({"format": "jsonl", **more})


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)

    @injects
    def jump(self, **by: float) -> None:
        self.advance(**by)


def rotating(clock: Clock | None = None, **more: object) -> FileSink:
    sink = FileSink("a.jsonl", options(**more), clock=clock or Clock())
    sink.connect()
    return sink


def rotated() -> list[Path]:
    """The files that were rotated, the oldest first."""
    return sorted(Path().glob("a-*.jsonl*"))


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def all_texts() -> list[str]:
    events = [decode(line) for path in (*rotated(), Path("a.jsonl")) for line in read(path).splitlines()]
    return [event.text for event in events if isinstance(event, Text)]


# By size


def test_no_file_grows_beyond_its_size_and_no_event_is_cut_in_two() -> None:
    deliver(rotating(rotate_bytes=600), *LINES)

    files = [*rotated(), Path("a.jsonl")]
    assert len(files) > 3
    assert all(0 < path.stat().st_size <= 600 for path in files)
    assert all_texts() == LINES


def test_event_that_is_larger_than_a_file_may_be_has_one_of_its_own() -> None:
    deliver(rotating(rotate_bytes=300), "small", "large" * 200, "small again")

    assert all_texts() == ["small", "large" * 200, "small again"]
    assert [path.stat().st_size > 300 for path in rotated()].count(True) == 1


def test_size_counts_what_was_there_before() -> None:
    Path("a.jsonl").write_text('{"an":"older line"}\n' * 30)

    deliver(rotating(rotate_bytes=610), "text")

    assert text_of(rotated()[0]) == '{"an":"older line"}\n' * 30


def test_rotated_files_are_named_after_the_time_and_none_twice() -> None:
    Path("a-20261120T120000.001Z.jsonl").write_text("another's")
    Path("a-20261120T120000.002Z.jsonl.gz").write_text("another's")

    deliver(rotating(rotate_bytes=1), "one", "two")

    assert [path.name for path in rotated()] == [
        "a-20261120T120000.000Z.jsonl",
        "a-20261120T120000.001Z.jsonl",
        "a-20261120T120000.002Z.jsonl.gz",
        "a-20261120T120000.003Z.jsonl",
        "a-20261120T120000.004Z.jsonl",
    ]
    assert text_of("a-20261120T120000.001Z.jsonl") == "another's"


def test_rotated_file_keeps_its_permissions_and_the_new_one_gets_them() -> None:
    deliver(rotating(rotate_bytes=1, permissions="0640", gzip=False), "text")

    assert {mode_of(path) for path in (*rotated(), Path("a.jsonl"))} == {0o640}


def test_link_stays_and_what_it_leads_to_is_rotated() -> None:
    Path("logs").mkdir()
    Path("a.jsonl").symlink_to("logs/b.jsonl")

    deliver(rotating(rotate_bytes=1), "text")

    assert Path("a.jsonl").is_symlink()
    assert len(list(Path("logs").glob("b-*.jsonl"))) == 2


# By age


def test_file_is_rotated_when_an_event_comes_and_it_is_too_old() -> None:
    clock = Clock()
    sink = rotating(clock, rotate_age="1h")
    first, second, third = chunks(info(), "first", "second", "third")
    sink.open(first.stream)
    sink.write(first)
    clock.advance(minutes=59)
    sink.write(second)
    before = rotated()
    clock.advance(minutes=1)
    sink.write(third)

    assert before == []
    assert [path.name for path in rotated()] == ["a-20261120T130000.000Z.jsonl"]
    assert [event.type for event in events_of("a.jsonl")] == ["text"]
    assert all_texts() == ["first", "second", "third"]


def test_new_file_is_young_again() -> None:
    clock = Clock()
    sink = rotating(clock, rotate_age="1h")
    deliver(sink, "first")
    clock.advance(hours=2)
    deliver(sink, "second")
    clock.advance(minutes=59)
    deliver(sink, "third")

    assert len(rotated()) == 1


@pytest.mark.parametrize("line", [None, "no event\n"])
def test_age_is_that_of_the_first_event_also_if_another_run_wrote_it(line: str | None) -> None:
    if line is None:
        deliver(connected("a.jsonl", JSONL), "of an earlier run")
    else:
        Path("a.jsonl").write_text(line)
    clock = Clock()
    clock.time = datetime.now(UTC) + timedelta(minutes=59)
    deliver(rotating(clock, rotate_age="1h"), "young")
    before = rotated()
    clock.advance(minutes=2)

    deliver(rotating(clock, rotate_age="1h"), "old")

    assert (before, len(rotated())) == ([], 1)


@pytest.mark.guarantee("file", "clock jump")
def test_clock_that_goes_back_rotates_nothing() -> None:
    clock = Clock()
    sink = rotating(clock, rotate_age="1h")
    deliver(sink, "first")
    clock.advance(hours=2)
    clock.jump(days=-1)
    deliver(sink, "second")

    assert rotated() == []


# Several who write, and rotate


def test_sinks_that_share_a_file_follow_it() -> None:
    first, second = info("a"), info("b")
    sinks = [rotating(rotate_bytes=700) for _ in range(2)]
    sinks[0].open(first)
    sinks[1].open(second)

    for ours, theirs in zip(chunks(first, *LINES), chunks(second, *LINES), strict=True):
        sinks[0].write(ours)
        sinks[1].write(theirs)

    assert sorted(all_texts()) == sorted(LINES * 2)
    assert all(path.stat().st_size <= 700 for path in rotated())


def test_event_after_somebody_else_has_renamed_the_file_comes_into_a_new_one() -> None:
    sink = connected("a.jsonl", JSONL)
    first, second = chunks(info(), "first", "second")
    sink.open(first.stream)
    sink.write(first)
    Path("a.jsonl").rename("a.jsonl.1")

    sink.write(second)

    assert [event.type for event in events_of("a.jsonl.1")] == ["start", "text"]
    assert events_of("a.jsonl") == [Text.of(second)]


def test_line_that_was_unfinished_where_the_file_was_renamed_spoils_no_other() -> None:
    sink = connected("a.jsonl", JSONL)
    first, second = chunks(info(), "first", "second")
    sink.open(first.stream)
    Path("a.jsonl").rename("a.jsonl.1")
    Path("a.jsonl").write_text('{"torn":')

    sink.write(second)

    torn, ours = Path("a.jsonl").read_text().splitlines()
    assert (torn, decode(ours)) == ('{"torn":', Text.of(second))


def test_new_file_that_cannot_be_opened_now_is_opened_later() -> None:
    sink = rotating(rotate_bytes=400)
    first, second = chunks(info(), "first", "second" * 20)
    sink.open(first.stream)
    sink.write(first)

    with free_descriptors(0), pytest.raises(Retryable, match="Too many open files"):
        sink.write(second)
    sink.write(second)

    assert all_texts() == ["first", "second" * 20]
    assert len(rotated()) == 1


def test_file_that_cannot_be_renamed_is_an_error_and_loses_nothing(directory: Path) -> None:
    Path("out").mkdir()
    Path("out").chmod(0o777)
    for path in (directory, *directory.parents):
        if path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o111)
    sink = FileSink("out/a.jsonl", options(rotate_bytes=1))
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    Path("out").chmod(0o555)

    with unprivileged(), pytest.raises(Permanent, match=r"'out/a\.jsonl' cannot be rotated: Permission denied"):
        sink.write(chunk)

    assert [event.type for event in events_of("out/a.jsonl")] == ["start"]


def test_only_files_are_rotated() -> None:
    with pytest.raises(Permanent, match="'/dev/null' cannot be rotated: it is not a regular file"):
        FileSink("/dev/null", options(rotate_bytes=1)).open(info())


def test_disk_has_what_is_rotated_away(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[int] = set()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("os.fsync", fsync)
    deliver(rotating(rotate_bytes=400, fsync="close"), *LINES)

    assert {path.stat().st_ino for path in (*rotated(), Path("a.jsonl"))} <= synced


# Compressed


def test_rotated_files_are_compressed() -> None:
    sink = rotating(rotate_bytes=600, gzip=True, permissions="0640")

    deliver(sink, *LINES)
    sink.disconnect()

    assert {path.suffix for path in rotated()} == {".gz"}
    assert {mode_of(path) for path in rotated()} == {0o640}
    assert all_texts() == LINES
    assert all(name.endswith((".jsonl", ".jsonl.gz")) for name in names())


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Compressing waits for this."""
    gate, really = threading.Event(), gzip.GzipFile

    def open_file(*arguments: object, **more: object) -> object:
        wait_for(gate)
        return really(*arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("gzip.GzipFile", open_file)
    return gate


def test_no_event_waits_for_a_file_to_be_compressed(gate: threading.Event) -> None:
    sink = rotating(rotate_bytes=1, gzip=True)

    deliver(sink, *LINES)
    before = {path.suffix for path in rotated()} - {".part"}
    gate.set()
    sink.disconnect()

    assert before == {".jsonl"}
    assert {path.suffix for path in rotated()} == {".gz"}
    assert all_texts() == LINES


def test_what_is_not_compressed_in_time_stays_whole(gate: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    compressor = Compressor()
    for name in ("a-1.jsonl", "a-2.jsonl"):
        Path(name).write_text("an event\n" * 100_000)
        compressor.put(Location(Path(name)))

    threading.Timer(0.1, gate.set).start()
    with caplog.at_level(logging.INFO):
        compressor.stop(0.0)

    assert names() == ["a-1.jsonl", "a-2.jsonl"]
    assert text_of("a-1.jsonl") == "an event\n" * 100_000
    assert [message.split(":")[0] for message in caplog.messages] == [
        "'a-1.jsonl' was rotated, and not compressed",
        "'a-2.jsonl' was rotated, and not compressed",
    ]


def test_file_that_cannot_be_compressed_stays_and_the_next_is_compressed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really, left = os.fsync, [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]

    def fsync(descriptor: int) -> None:
        if left:
            raise left.pop()
        really(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    compressor = Compressor()
    for name in ("a-1.jsonl", "a-2.jsonl"):
        Path(name).write_text("an event\n")
        compressor.put(Location(Path(name)))
    compressor.stop(10.0)

    assert names() == ["a-1.jsonl", "a-2.jsonl.gz"]
    assert caplog.messages == ["'a-1.jsonl' was rotated, and not compressed: No space left on device"]


def test_link_in_the_place_of_a_compressed_file_is_not_followed(directory: Path) -> None:
    precious = directory / "precious"
    precious.write_text("precious")
    Path("a-1.jsonl").write_text("an event\n")
    Path("a-1.jsonl.gz.part").symlink_to(precious)
    compressor = Compressor()

    compressor.put(Location(Path("a-1.jsonl")))
    compressor.stop(10.0)

    assert (precious.read_text(), text_of("a-1.jsonl")) == ("precious", "an event\n")


def test_disk_has_the_compressed_file_and_its_name_before_the_other_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    really_sync = os.fsync

    def fsync(descriptor: int) -> None:
        really_sync(descriptor)
        what = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"{what} with {', '.join(names())}")

    monkeypatch.setattr("os.fsync", fsync)
    Path("a-1.jsonl").write_text("an event\n")
    compressor = Compressor()
    compressor.put(Location(Path("a-1.jsonl")))
    compressor.stop(10.0)

    assert steps == ["file with a-1.jsonl, a-1.jsonl.gz.part", "directory with a-1.jsonl, a-1.jsonl.gz"]
    assert names() == ["a-1.jsonl.gz"]
