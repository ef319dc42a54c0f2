from __future__ import annotations

import errno
import logging
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.events import Start, Text
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks, deliver, ending
from tests.support.files import connected, events_of, mode_of, names, text_of, written
from tests.support.limits import largest_file
from tests.support.streams import info

if TYPE_CHECKING:
    from streamfan.events import FinishReason

pytestmark = pytest.mark.usefixtures("directory")

ATOMIC = FileOptions(mode="atomic")
EVENTS = FileOptions(mode="atomic", format="jsonl")


def test_file_appears_whole_at_the_end() -> None:
    Path("a.txt").write_text("old")
    sink = connected("a.txt", ATOMIC)
    first, second = chunks(info(), "Hello", " wörld")

    sink.open(first.stream)
    sink.write(first)
    sink.write(second)
    before = text_of("a.txt"), text_of("a.txt.part")
    sink.close(first.stream, ending(first.stream, "Hello wörld"))

    assert before == ("old", "Hello wörld")
    assert text_of("a.txt") == "Hello wörld"
    assert names() == ["a.txt"]


def test_events_appear_whole_at_the_end() -> None:
    sink = connected("{stream}.jsonl", EVENTS)
    (chunk,) = chunks(info("s"), "text")
    end = ending(chunk.stream, "text")

    sink.open(chunk.stream)
    sink.write(chunk)
    before = names()
    sink.close(chunk.stream, end)

    assert (before, names()) == (["s.jsonl.part"], ["s.jsonl"])
    assert events_of("s.jsonl") == [Start.of(chunk.stream), Text.of(chunk), end]


def test_text_that_is_not_whole_stays_apart_and_the_log_says_where(caplog: pytest.LogCaptureFixture) -> None:
    Path("a.txt").write_text("old")
    sink = connected("a.txt", ATOMIC)
    (chunk,) = chunks(info(), "half")

    sink.open(chunk.stream)
    sink.write(chunk)
    with caplog.at_level(logging.WARNING):
        sink.close(chunk.stream, replace(ending(chunk.stream, "half and half"), complete=False))

    assert (text_of("a.txt"), text_of("a.txt.part")) == ("old", "half")
    assert caplog.messages == [
        "'a.txt' was not written, for the text is not whole: what there is stays in 'a.txt.part'"
    ]


@pytest.mark.parametrize("finish_reason", ["cancelled", "error"])
def test_all_that_a_generation_made_before_it_was_cut_short_appears(finish_reason: FinishReason) -> None:
    Path("a.txt").write_text("old")
    stream = info()
    sink = connected("a.txt", ATOMIC)
    sink.open(stream)
    for chunk in chunks(stream, "half a sen"):
        sink.write(chunk)

    sink.close(stream, replace(ending(stream, "half a sen"), finish_reason=finish_reason))

    assert names() == ["a.txt"]
    assert text_of("a.txt") == "half a sen"


def test_stream_that_was_never_closed_does_not_appear(caplog: pytest.LogCaptureFixture) -> None:
    sink = connected("a.txt", ATOMIC)
    (chunk,) = chunks(info(), "half")

    sink.open(chunk.stream)
    sink.write(chunk)
    sink.disconnect()

    assert names() == ["a.txt.part"]
    assert "stays in 'a.txt.part'" in caplog.text


def test_what_was_left_of_an_earlier_run_is_no_part_of_the_file() -> None:
    Path("a.txt.part").write_text("what a killed process has left")

    assert text_of(written("a.txt", "text", options=ATOMIC)) == "text"


@pytest.mark.parametrize("replaced", [False, True])
def test_what_another_program_has_put_in_its_place_is_not_published(
    replaced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    Path("a.txt").write_text("old")
    sink = connected("a.txt", ATOMIC)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    sink.write(chunk)
    Path("a.txt.part").unlink()
    if replaced:
        Path("a.txt.part").write_text("them")

    with pytest.raises(Permanent, match=r"'a\.txt\.part' is not the file that was written"):
        sink.close(chunk.stream, ending(chunk.stream, "text"))
    assert text_of("a.txt") == "old"
    assert "stays in" not in caplog.text


def test_file_that_is_replaced_while_it_is_put_on_the_disk_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_first(descriptor: int) -> None:
        Path("a.txt.part").unlink()
        Path("a.txt.part").write_text("them")

    sink = connected("a.txt", ATOMIC)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    sink.write(chunk)
    monkeypatch.setattr(os, "fsync", replace_first)

    with pytest.raises(Permanent, match=r"'a\.txt\.part' is not the file that was written"):
        sink.close(chunk.stream, ending(chunk.stream, "text"))
    assert names() == ["a.txt.part"]


def test_disk_has_the_file_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    really_sync, really_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        really_sync(descriptor)
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"file {names()}")

    def rename(*arguments: str, **directories: Any) -> None:
        really_replace(*arguments, **directories)
        steps.append("renamed")

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("os.replace", rename)
    written("a.txt", "text", options=ATOMIC)

    assert steps[0] == "file ['a.txt.part']"
    assert steps[-2:] == ["renamed", "directory"]


def test_file_that_is_not_on_the_disk_does_not_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fsync)

    with pytest.raises(Permanent, match=r"'a\.txt\.part' may be incomplete on the disk"):
        deliver(connected("a.txt", ATOMIC), "text")

    assert names() == ["a.txt.part"]


def test_file_that_the_disk_has_no_room_for_does_not_appear() -> None:
    sink = connected("a.txt", ATOMIC)

    with largest_file(3), pytest.raises(SinkError, match=r"'a\.txt\.part' cannot be written to"):
        deliver(sink, "text")
    sink.disconnect()

    assert names() == ["a.txt.part"]


def test_name_that_cannot_be_given_now_is_given_later(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("a.jsonl", EVENTS)
    stream = info()
    sink.open(stream)
    end = ending(stream)
    really = os.replace

    def no_room(*arguments: str, **directories: Any) -> None:
        monkeypatch.setattr("os.replace", really)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", no_room)
    with pytest.raises(Retryable, match=r"'a\.jsonl\.part' cannot become 'a\.jsonl': No space left"):
        sink.close(stream, end)
    sink.open(stream)
    sink.close(stream, end)

    assert events_of("a.jsonl") == [Start.of(stream), end]
    assert names() == ["a.jsonl"]


def test_file_keeps_the_permissions_of_what_it_replaces() -> None:
    Path("a.txt").touch()
    Path("a.txt").chmod(0o644)

    assert mode_of(written("a.txt", "text", options=ATOMIC)) == 0o644


def test_file_replaces_what_a_link_leads_to() -> None:
    Path("elsewhere").mkdir()
    Path("link").symlink_to("elsewhere/a.txt")

    written("link", "text", options=ATOMIC)

    assert Path("link").is_symlink()
    assert text_of("elsewhere/a.txt") == "text"


def test_link_in_the_place_of_the_unfinished_file_is_not_followed(directory: Path) -> None:
    precious = directory / "precious"
    precious.write_text("precious")
    Path("a.txt.part").symlink_to(precious)

    with pytest.raises(Permanent, match=r"'a\.txt\.part' is a symbolic link"):
        deliver(connected("a.txt", ATOMIC), "text")

    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("pipe", r"'pipe' cannot be replaced: it is not a regular file\nTry: the option mode=overwrite"),
        ("directory", "'directory' cannot be replaced: Is a directory"),
        ("no/a.txt", "no directory 'no'"),
    ],
)
def test_place_where_no_file_can_appear_is_an_error_at_the_start(target: str, why: str) -> None:
    os.mkfifo("pipe")
    Path("directory").mkdir()

    with pytest.raises(Permanent, match=why):
        connected(target, ATOMIC)


@pytest.mark.parametrize("options", [ATOMIC, EVENTS])
@pytest.mark.parametrize("complete", [True, False])
def test_second_stream_does_not_replace_the_first(options: FileOptions, complete: bool) -> None:
    sink = connected("a.out", options)
    (chunk,) = chunks(info("first"), "first")
    sink.open(chunk.stream)
    sink.write(chunk)
    sink.close(chunk.stream, replace(ending(chunk.stream, "first"), complete=complete))

    with pytest.raises(Permanent, match=r"'a\.out' has another stream, which this one would replace\nTry: \{stream\}"):
        sink.open(info("second"))

    assert "first" in text_of("a.out" if complete else "a.out.part")


def test_second_stream_at_a_time_is_refused() -> None:
    sink = connected("a.jsonl", EVENTS)
    sink.open(info("first"))

    with pytest.raises(Permanent, match="is being written by another stream"):
        sink.open(info("second"))


def test_later_attempt_takes_the_place_of_the_earlier_one() -> None:
    sink = connected("a.txt", ATOMIC)

    deliver(sink, "first", stream=info("s"))
    deliver(sink, "second", stream=info("s"))

    assert text_of("a.txt") == "second"


def test_streams_with_files_of_their_own_appear_each_in_its_directory() -> None:
    sink = connected("{stream}/a.txt", ATOMIC)

    deliver(sink, "1", stream=info("s1"))
    deliver(sink, "2", stream=info("s2"))

    assert (text_of("s1/a.txt"), text_of("s2/a.txt")) == ("1", "2")
