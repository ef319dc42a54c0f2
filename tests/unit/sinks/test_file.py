from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent, Retryable, SpecError
from streamfan.events import Text
from streamfan.options import LaneOptions
from streamfan.sink import Delivery
from streamfan.sinks import file
from streamfan.sinks.file import FileOptions, FileSink
from streamfan.sinks.file.location import Location
from tests.support.deliveries import chunks, deliver, ending
from tests.support.files import JSONL, connected, events_of, mode_of, names, text_of, written
from tests.support.limits import free_descriptors, unprivileged
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.sinks.file.options import Mode

pytestmark = pytest.mark.usefixtures("directory")

TEXT = FileOptions()
ODD = "naïve 日本語 👩\u200d🚒\x1b[31m\r\x00"


def test_module_offers_its_sink() -> None:
    (sink,) = file.streamfan_sinks()

    assert (sink.name, sink.delivery) == ("file", Delivery.EXACTLY_ONCE)
    assert sink.lane_defaults == LaneOptions(linger=0.05)


# The path


def test_target_names_the_file_after_the_stream_by_default() -> None:
    deliver(connected(), "text", stream=info("s1"))
    deliver(connected(options=JSONL), "text", stream=info("s1"))

    assert names() == ["streamfan-s1.jsonl", "streamfan-s1.txt"]
    assert FileSink().label == "streamfan-{stream}.txt"


@pytest.mark.parametrize("target", ["{model}.txt", "out/", "", "{"])
def test_unusable_path_is_refused_before_anything_runs(target: str) -> None:
    with pytest.raises(SpecError):
        FileSink(target)


def test_directories_with_a_field_in_their_name_are_created() -> None:
    Path("runs").mkdir()
    stream = info("s1")

    deliver(connected("runs/{date}/{stream}/answer.txt"), "text", stream=stream)

    assert text_of(f"runs/{stream.time.date()}/s1/answer.txt") == "text"


def test_symbolic_link_is_followed_in_a_path_without_fields() -> None:
    Path("link").symlink_to("target")

    written("link", "text")

    assert text_of("target") == "text"


def test_symbolic_link_is_not_followed_where_the_stream_gives_the_name(directory: Path) -> None:
    precious = directory / "precious"
    precious.write_text("precious")
    Path("s1.txt").symlink_to(precious)

    with pytest.raises(Permanent, match="is a symbolic link"):
        deliver(connected("{stream}.txt"), "text", stream=info("s1"))

    assert precious.read_text() == "precious"


def test_symbolic_link_is_not_followed_where_the_stream_names_a_directory(directory: Path) -> None:
    (directory / "elsewhere").mkdir()
    Path("out").mkdir()
    Path("out/s1").symlink_to(directory / "elsewhere")

    with pytest.raises(Permanent, match="'out/s1' is a symbolic link, which is not followed here"):
        deliver(connected("out/{stream}/a.txt"), "text", stream=info("s1"))

    assert list((directory / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("options", [FileOptions(), FileOptions(format="jsonl"), FileOptions(mode="resume")])
@pytest.mark.parametrize("is_read", [False, True])
def test_pipe_is_not_opened_where_the_stream_gives_the_name(
    directory: Path, options: FileOptions, is_read: bool
) -> None:
    os.mkfifo("s.txt")
    reader = os.open("s.txt", os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    sink = FileSink("{stream}.txt", options)

    with pytest.raises(Permanent, match=r"'s\.txt' is no file but a pipe"):
        sink.open(info())

    if reader is not None:
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_symbolic_link_is_followed_to_the_directory_that_was_given(directory: Path) -> None:
    (directory / "disk").mkdir()
    Path("out").symlink_to("disk")

    deliver(connected("out/{stream}/a.txt"), "text", stream=info("s1"))

    assert text_of("disk/s1/a.txt") == "text"


def test_file_in_the_way_of_a_directory_is_named() -> None:
    Path("s1").touch()

    with pytest.raises(Permanent, match=r"'s1/a\.txt' cannot be opened: Not a directory"):
        deliver(connected("{stream}/a.txt"), "text", stream=info("s1"))


# What cannot be opened, said at the start


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("no/such/a.txt", r"'no/such/a.txt' cannot be opened: no directory 'no/such'\nTry: mkdir -p no/such"),
        ("no/such/{stream}", r"'no/such/{stream}' cannot be opened: no directory 'no/such'\nTry: mkdir -p no/such"),
        ("my dir/{stream}", r"Try: mkdir -p 'my dir'"),
        ("directory", "'directory' cannot be opened: Is a directory"),
        ("regular/a.txt", "'regular/a.txt' cannot be opened: Not a directory"),
        ("regular/{stream}", "'regular/{stream}' cannot be opened: Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("loop/{stream}", "Too many levels of symbolic links"),
        ("a" * 300, "File name too long"),
        ("into-nowhere", r"'into-nowhere' cannot be opened: no directory 'nowhere'"),
    ],
)
@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_target_that_cannot_be_opened_is_an_error_at_the_start(target: str, why: str, options: FileOptions) -> None:
    Path("directory").mkdir()
    Path("regular").touch()
    Path("loop").symlink_to("loop")
    Path("into-nowhere").symlink_to("nowhere/a.txt")
    before = names()

    with pytest.raises(Permanent, match=why):
        connected(target, options)

    assert names() == before


@pytest.fixture
def public_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The working directory: one that everybody may look into, as pytest's are not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.chdir(name)
        yield


@pytest.mark.usefixtures("public_directory")
@pytest.mark.parametrize("target", ["a.txt", "pipe", "locked/a.txt", "locked/{stream}"])
def test_target_that_permissions_forbid_is_an_error_at_the_start(target: str) -> None:
    Path("a.txt").touch(0o400)
    os.mkfifo("pipe", 0o400)
    Path("locked").mkdir(0o500)

    with unprivileged(), pytest.raises(Permanent, match=r"Permission denied|cannot be written to"):
        connected(target)


@pytest.mark.parametrize("target", ["new.txt", "old.txt", "link", "{stream}.txt"])
@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_connecting_creates_and_changes_nothing(target: str, options: FileOptions) -> None:
    Path("old.txt").write_text("old")
    Path("link").symlink_to("nothing-yet")

    connected(target, options).disconnect()

    assert names() == ["link", "old.txt"]
    assert text_of("old.txt") == "old"


def test_directory_that_has_vanished_since_the_start_is_named() -> None:
    Path("out").mkdir()
    sink = connected("out/a.txt")
    Path("out").rmdir()

    with pytest.raises(Permanent, match=r"no directory 'out'\nTry: mkdir -p"):
        sink.open(info())


@pytest.mark.parametrize("target", ["a.txt", "{stream}.txt"])
def test_file_that_another_program_makes_meanwhile_keeps_its_permissions(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, path, open_it = connected(target), Path(target.format(stream="s1")), Location.open

    def beaten(location: Location, *arguments: int) -> int:
        path.touch()
        path.chmod(0o644)
        return open_it(location, *arguments)

    monkeypatch.setattr(Location, "open", beaten)
    deliver(sink, "text", stream=info("s1"))

    assert mode_of(path) == 0o644
    assert text_of(path) == "text"


# Text


def test_file_is_the_text() -> None:
    assert text_of(written("a.txt", *ODD)) == ODD


def test_huge_text_arrives_whole() -> None:
    text = "0123456789abcdé" * 100_000

    assert text_of(written("a.txt", text, text, text)) == text * 3


def test_stream_without_text_makes_an_empty_file() -> None:
    assert text_of(written("a.txt")) == ""


def test_text_overwrites() -> None:
    Path("a.txt").write_text("an older and longer text")

    assert text_of(written("a.txt", "new")) == "new"


def test_appended_text_follows_on_a_line_of_its_own() -> None:
    options = FileOptions(mode="append")
    Path("a.txt").write_text("an unfinished line")

    written("a.txt", "first", options=options)
    written("a.txt", "second", options=options)

    assert text_of("a.txt") == "an unfinished line\nfirst\nsecond"


def test_events_can_overwrite() -> None:
    options = FileOptions(format="jsonl", mode="overwrite")
    written("a.jsonl", "first", options=options)

    written("a.jsonl", "second", options=options)

    assert [event.text for event in events_of("a.jsonl") if isinstance(event, Text)] == ["second"]


def test_file_is_emptied_when_the_stream_opens_and_not_before() -> None:
    Path("a.txt").write_text("old")
    sink = connected("a.txt")
    before = text_of("a.txt")

    sink.open(info())

    assert (before, text_of("a.txt")) == ("old", "")


def test_each_chunk_is_there_when_write_returns() -> None:
    sink = connected("a.txt")
    first, second = chunks(info(), "Hel", "lo")

    sink.open(first.stream)
    sink.write(first)
    after_first = text_of("a.txt")
    sink.write(second)

    assert (after_first, text_of("a.txt")) == ("Hel", "Hello")


def test_later_streams_of_the_same_sink_follow_on_lines_of_their_own() -> None:
    sink = connected("a.txt")

    deliver(sink, "first", " text")
    deliver(sink)
    deliver(sink, "second\n")
    deliver(sink, "third")

    assert text_of("a.txt") == "first text\nsecond\nthird"


def test_streams_follow_one_another_where_they_share_a_text() -> None:
    shared = LaneOptions(linger=0.05, sequential=True)

    assert FileSink("a.txt").lane_defaults == shared
    assert FileSink("{date}.txt").lane_defaults == shared
    assert FileSink("{stream}.txt").lane_defaults == LaneOptions(linger=0.05)
    assert FileSink("a.jsonl", JSONL).lane_defaults == LaneOptions(linger=0.05)


def test_two_streams_at_a_time_in_one_text_are_refused() -> None:
    sink = connected("a.txt")
    (chunk,) = chunks(info("first"), "text")
    sink.open(chunk.stream)

    with pytest.raises(Permanent, match=r"'a\.txt' is being written by another stream\nTry: \{stream\} in the path"):
        sink.open(info("second"))

    sink.write(chunk)
    assert text_of("a.txt") == "text"


@pytest.mark.parametrize(("first", "second"), [(TEXT, TEXT), (TEXT, JSONL), (JSONL, TEXT)])
def test_second_sink_of_a_program_is_refused_by_a_file_that_must_be_written_alone(
    first: FileOptions, second: FileOptions
) -> None:
    writer = connected("a.txt", first)
    (chunk,) = chunks(info(), "text")
    writer.open(chunk.stream)
    writer.write(chunk)
    before = text_of("a.txt")
    Path("another name").hardlink_to("a.txt")
    late = connected("another name", second)

    with pytest.raises(Permanent, match="'another name' is being written by another file sink of this program"):
        late.open(info())
    while_written = text_of("a.txt")
    writer.disconnect()
    late.open(info())

    assert while_written == before


def test_sinks_share_a_device() -> None:
    sinks = [connected("/dev/null") for _ in range(2)]

    for sink in sinks:
        sink.open(info())

    for sink in sinks:
        sink.disconnect()


def test_streams_with_files_of_their_own_are_written_at_a_time() -> None:
    sink = connected("{stream}.txt")
    pairs = list(zip(chunks(info("a"), "1", "2"), chunks(info("b"), "x", "y"), strict=True))

    for stream in (chunk.stream for chunk in pairs[0]):
        sink.open(stream)
    for pair in pairs:
        for chunk in pair:
            sink.write(chunk)

    assert (text_of("a.txt"), text_of("b.txt")) == ("12", "xy")


def test_later_attempt_at_a_stream_replaces_the_earlier_one() -> None:
    sink = connected("{stream}.txt")
    first, second = info("s"), info("s")

    deliver(sink, "a longer text of the first attempt", stream=first)
    deliver(sink, "second", stream=second)

    assert text_of("s.txt") == "second"


@pytest.mark.parametrize("mode", ["a", "w"])
def test_text_that_another_program_has_written_to_is_not_called_complete(mode: str) -> None:
    sink = connected("a.txt")
    first, second = chunks(info(), "one ", "two")
    sink.open(first.stream)
    sink.write(first)
    with Path("a.txt").open(mode) as other:
        other.write("theirs ")
    sink.write(second)

    with pytest.raises(Permanent, match=r"'a\.txt' is not what was written to it: another program writes there too"):
        sink.close(first.stream, ending(first.stream, "one two"))


@pytest.mark.parametrize("options", [FileOptions(), FileOptions(mode="append"), FileOptions(mode="resume")])
@pytest.mark.parametrize("replaced", [False, True])
def test_text_whose_file_was_removed_meanwhile_is_not_called_complete(options: FileOptions, replaced: bool) -> None:
    sink = connected("a.txt", options)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    sink.write(chunk)
    Path("a.txt").unlink()
    if replaced:
        # As long as what was written.
        Path("a.txt").write_text("them")

    with pytest.raises(Permanent, match=r"'a\.txt' is not the file that was written: another program has removed or"):
        sink.close(chunk.stream, ending(chunk.stream, "text"))


def test_attempt_that_was_followed_by_another_one_writes_no_more() -> None:
    sink = connected("{stream}.txt")
    (old,), (new,) = chunks(info("s"), "old"), chunks(info("s"), "new")
    sink.open(old.stream)
    sink.open(new.stream)

    with pytest.raises(Permanent, match="was followed by another one"):
        sink.write(old)
    with pytest.raises(Permanent, match="was followed by another one"):
        sink.open(old.stream)
    sink.close(old.stream, ending(old.stream))
    sink.write(new)

    assert text_of("s.txt") == "new"


# Permissions and descriptors


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_new_file_is_readable_by_its_owner_alone(options: FileOptions) -> None:
    before = os.umask(0)
    try:
        path = written("a.txt", "text", options=options)
    finally:
        os.umask(before)

    assert mode_of(path) == 0o600


@pytest.mark.parametrize("mode", [None, "append", "atomic", "resume"])
@pytest.mark.parametrize("mask", [0, 0o077])
def test_new_file_has_the_permissions_that_were_asked_for(mode: Mode | None, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = written("a.txt", "text", options=FileOptions(permissions="0640", mode=mode))
    finally:
        os.umask(before)

    assert mode_of(path) == 0o640


def test_existing_file_keeps_its_permissions() -> None:
    Path("a.txt").touch()
    Path("a.txt").chmod(0o644)

    assert mode_of(written("a.txt", "text")) == 0o644


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_file_of_a_stream_is_closed_with_the_stream(options: FileOptions) -> None:
    sink = connected("{stream}.txt", options)

    with free_descriptors(2):
        for number in range(9):
            deliver(sink, "text", stream=info(f"s{number}"))

    assert len(names()) == 9


def test_too_many_open_files_may_pass() -> None:
    sink = connected("{stream}.txt")
    (chunk,) = chunks(info(), "text")

    with free_descriptors(0), pytest.raises(Retryable, match="Too many open files"):
        sink.open(chunk.stream)
    sink.open(chunk.stream)
    sink.write(chunk)

    assert text_of("s.txt") == "text"


def test_disconnecting_closes_every_file() -> None:
    sink = connected("{stream}.txt")

    with free_descriptors(2):
        sink.open(info("a"))
        sink.open(info("b"))
        sink.disconnect()
        sink.open(info("c"))
        sink.open(info("d"))
    sink.disconnect()


# A program that changes its working directory


@pytest.mark.parametrize("mode", ["overwrite", "append", "atomic", "resume"])
@pytest.mark.parametrize("target", ["answer.txt", "{stream}/answer.txt", "out/{stream}.txt"])
def test_path_stays_where_it_was_when_the_sink_was_made(directory: Path, target: str, mode: Mode) -> None:
    there, elsewhere, stream = directory / "there", directory / "elsewhere", info("s1")
    (there / "out").mkdir(parents=True)
    elsewhere.mkdir()
    os.chdir(there)
    sink = FileSink(target, FileOptions(mode=mode))
    os.chdir(elsewhere)

    sink.connect()
    deliver(sink, "one ", "two", stream=stream)
    sink.disconnect()

    assert text_of(there / target.format(stream="s1")) == "one two"
    assert names() == []
    assert sink.label == target


def test_change_of_directory_between_two_events_moves_no_file(directory: Path) -> None:
    stream, elsewhere = info("s1"), directory / "elsewhere"
    elsewhere.mkdir()
    sink = connected("events.jsonl", JSONL)
    sink.open(stream)
    first, second = chunks(stream, "one ", "two")
    sink.write(first)
    os.chdir(elsewhere)

    sink.write(second)
    sink.close(stream, ending(stream, "one two"))
    sink.disconnect()

    texts = [event.text for event in events_of(directory / "events.jsonl") if isinstance(event, Text)]
    assert texts == ["one ", "two"]
    assert names() == []


def test_absolute_path_needs_no_working_directory(directory: Path) -> None:
    gone = directory / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()

    written(str(directory / "answer.txt"), "text")

    assert text_of(directory / "answer.txt") == "text"
    with pytest.raises(SpecError, match=r"path 'answer\.txt' leads nowhere: the working directory was removed"):
        FileSink("answer.txt")
