from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks, deliver, ending
from tests.support.files import connected, text_of
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")

CLOSE, ALWAYS = FileOptions(fsync="close"), FileOptions(fsync="always")
EVENTS = FileOptions(format="jsonl", fsync="always")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is put on the disk: "." for a directory, else how many bytes the file had then."""
    really, done = os.fsync, list[str]()

    def fsync(descriptor: int) -> None:
        really(descriptor)
        status = os.fstat(descriptor)
        done.append("." if stat.S_ISDIR(status.st_mode) else str(status.st_size))

    monkeypatch.setattr("os.fsync", fsync)
    return done


def fail_to_sync(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The disk breaks, and the system tells the first who asks, and forgets; returns whoever has asked."""
    asked: list[int] = []

    def fsync(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fsync)
    return asked


def test_nothing_waits_for_the_disk_by_default(synced: list[str]) -> None:
    deliver(connected("a.txt"), "one", "two")

    assert synced == []


def test_disk_has_the_file_and_its_name_when_the_stream_is_closed(synced: list[str]) -> None:
    sink = connected("a.txt", CLOSE)

    deliver(sink, "one", "two")
    first = list(synced)
    deliver(sink, "three")

    assert first == ["6", "."]
    assert synced == ["6", ".", "12"]


def test_disk_has_every_piece_when_it_is_written(synced: list[str]) -> None:
    sink = connected("a.txt", ALWAYS)
    first, second = chunks(info(), "one", "two")

    sink.open(first.stream)
    sink.write(first)
    after_first = list(synced)
    sink.write(second)

    assert after_first == ["3", "."]
    assert synced == ["3", ".", "6"]


def test_disk_has_the_names_of_the_directories_too(synced: list[str]) -> None:
    deliver(connected("{date}/{stream}/a.txt", CLOSE), "text")

    assert synced == ["4", ".", ".", "."]


@pytest.mark.parametrize("options", [CLOSE, ALWAYS])
def test_what_cannot_be_synced_has_failed(options: FileOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("a.txt", options)
    fail_to_sync(monkeypatch)

    with pytest.raises(
        Permanent, match=r"'a\.txt' may be incomplete on the disk, it could not be synced: Input/output"
    ):
        deliver(sink, "text")


@pytest.mark.parametrize("options", [ALWAYS, EVENTS])
def test_failed_sync_is_never_tried_again(options: FileOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("a.out", options)
    first, second = chunks(info(), "one", "two")
    sink.open(first.stream)
    asked = fail_to_sync(monkeypatch)

    for chunk in (first, second):
        with pytest.raises(Permanent, match="could not be synced: Input/output error"):
            sink.write(chunk)

    assert len(asked) == 1


def test_stream_whose_piece_was_not_synced_is_not_closed_as_if_it_were(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("a.txt", ALWAYS)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    fail_to_sync(monkeypatch)
    with pytest.raises(Permanent):
        sink.write(chunk)

    with pytest.raises(Permanent, match="could not be synced"):
        sink.close(chunk.stream, ending(chunk.stream, "text"))


def test_devices_and_pipes_are_not_synced(synced: list[str]) -> None:
    deliver(connected("/dev/null", ALWAYS), "text")

    assert synced == []


def test_directory_that_cannot_be_synced_may_have_lost_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").touch()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor)

    monkeypatch.setattr("os.fsync", fsync)

    with pytest.raises(Permanent, match="could not be synced: Input/output error"):
        deliver(connected("a.txt", CLOSE), "text")

    assert text_of("a.txt") == "text"
