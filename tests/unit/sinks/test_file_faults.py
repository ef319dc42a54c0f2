from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from streamfan.errors import Permanent, Retryable, SinkClosed
from streamfan.events import Start, Text, decode
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks, deliver, ending
from tests.support.faults import injects
from tests.support.files import JSONL, connected, events_of, text_of
from tests.support.limits import free_descriptors, largest_file
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")


@pytest.mark.guarantee("file", "reset in the middle")
def test_failed_write_leaves_nothing_and_can_be_made_again() -> None:
    sink = connected("a.txt")
    first, second = chunks(info(), "Hello", " wörld")
    sink.open(first.stream)
    sink.write(first)

    with largest_file(8), pytest.raises(Permanent, match=r"'a\.txt' cannot be written to: File too large"):
        sink.write(second)
    after_failure = text_of("a.txt")
    held = sink.open(first.stream)
    sink.write(second)

    assert (after_failure, held) == ("Hello", 5)
    assert text_of("a.txt") == "Hello wörld"


def test_failed_event_leaves_no_torn_line() -> None:
    sink = connected("a.jsonl", JSONL)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    start = text_of("a.jsonl")

    with largest_file(len(start) + 20), pytest.raises(Permanent):
        sink.write(chunk)
    after_failure = text_of("a.jsonl")
    sink.open(chunk.stream)
    sink.write(chunk)

    assert after_failure == start
    assert events_of("a.jsonl") == [Start.of(chunk.stream), Text.of(chunk)]


def test_start_event_that_failed_is_written_when_there_is_room() -> None:
    sink = connected("{stream}.jsonl", JSONL)
    stream = info()

    with largest_file(10), pytest.raises(Permanent):
        sink.open(stream)
    sink.open(stream)

    assert events_of("s.jsonl") == [Start.of(stream)]


def test_stream_that_could_not_begin_leaves_no_file_open() -> None:
    sink = connected("{stream}.jsonl", JSONL)

    with largest_file(10), free_descriptors(2):
        for number in range(9):
            with pytest.raises(Permanent, match="File too large"):
                sink.open(info(f"s{number}"))


def test_closing_that_failed_for_good_is_over() -> None:
    sink = connected("{stream}.jsonl", JSONL)
    stream = info()
    sink.open(stream)

    with largest_file(10), pytest.raises(Permanent):
        sink.close(stream, ending(stream))
    sink.close(stream, ending(stream))

    assert events_of("s.jsonl") == [Start.of(stream)]


Write = Callable[[int, memoryview], int]


@injects
def disk_writes(monkeypatch: pytest.MonkeyPatch, *steps: Write) -> None:
    """Each write to the disk is one of `steps`, in this order, and as usual after them."""
    really, todo = os.write, list(steps)

    def write(descriptor: int, data: memoryview) -> int:
        return todo.pop(0)(descriptor, data) if todo else really(descriptor, data)

    monkeypatch.setattr("os.write", write)


def half_of_it(descriptor: int, data: memoryview) -> int:
    return os.writev(descriptor, [data[: len(data) // 2]])


def nothing_of_it(descriptor: int, data: memoryview) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nothing_of_it_after_another_program(descriptor: int, data: memoryview) -> int:
    with Path("a.jsonl").open("a") as other:
        other.write('\n{"another":"program"}\n')
    return nothing_of_it(descriptor, data)


def test_end_event_is_tried_again_while_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("{stream}.jsonl", JSONL)
    stream = info()
    sink.open(stream)
    end = ending(stream)
    disk_writes(monkeypatch, half_of_it, nothing_of_it)

    with pytest.raises(Retryable, match="No space left"):
        sink.close(stream, end)
    held = sink.open(stream)
    sink.close(stream, end)

    assert held == 0
    assert events_of("s.jsonl") == [Start.of(stream), end]


def refusing(code: int) -> Write:
    def write(descriptor: int, data: memoryview) -> int:
        raise OSError(code, os.strerror(code))

    return write


MODES = [FileOptions(mode=mode) for mode in ("overwrite", "append", "atomic", "resume")]


@pytest.mark.guarantee("file", "reset in the middle")
@pytest.mark.parametrize("options", [*MODES, JSONL])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EINTR, Retryable),
        (errno.EAGAIN, Retryable),
        (errno.ENOSPC, Retryable),
        (errno.EDQUOT, Retryable),
        (errno.EIO, Permanent),
        (errno.EROFS, Permanent),
        (errno.ESTALE, Permanent),
    ],
)
def test_piece_that_was_interrupted_half_way_is_written_once(
    options: FileOptions, code: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = connected("a.out", options)
    first, second = chunks(info(), "first ", "second")
    sink.open(first.stream)
    sink.write(first)
    disk_writes(monkeypatch, half_of_it, refusing(code))

    with pytest.raises(error, match="cannot be written to"):
        sink.write(second)
    held = sink.open(first.stream)
    sink.write(second)
    sink.close(first.stream, ending(first.stream, "first second"))

    assert held == len("first ")
    if options == JSONL:
        assert [event.text for event in events_of("a.out") if isinstance(event, Text)] == ["first ", "second"]
    else:
        assert text_of("a.out") == "first second"


def test_lines_of_other_programs_are_never_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("a.jsonl", JSONL)
    first, second = chunks(info(), "first", "second")
    sink.open(first.stream)
    disk_writes(monkeypatch, half_of_it, nothing_of_it_after_another_program)

    with pytest.raises(Permanent, match="took a part of a piece, which cannot be taken back, and then: No space left"):
        sink.write(first)
    sink.write(second)

    _, torn, foreign, ours = Path("a.jsonl").read_text().splitlines()
    assert (torn[:8], foreign) == ('{"v":1,"', '{"another":"program"}')
    assert decode(ours) == Text.of(second)


def test_what_a_pipe_took_cannot_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("pipe")
    sink = connected("pipe")
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    disk_writes(monkeypatch, half_of_it, nothing_of_it)

    with pytest.raises(Permanent, match="cannot be taken back"):
        sink.write(chunk)

    assert reader.read() == b"te"
    sink.disconnect()
    reader.close()


def test_event_after_a_torn_one_begins_on_a_line_of_its_own_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("pipe")
    sink = connected("pipe", JSONL)
    first, second = chunks(info(), "first", "second")
    sink.open(first.stream)
    disk_writes(monkeypatch, half_of_it, nothing_of_it)

    with pytest.raises(Permanent):
        sink.write(first)
    sink.write(second)

    assert decode(reader.read().splitlines()[-1]) == Text.of(second)
    sink.disconnect()
    reader.close()


def network_disk_fills_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Closing says that there was no room after all, as file systems over a network do; returns what was closed."""
    really, closed = os.close, list[int]()

    def close(descriptor: int) -> None:
        really(descriptor)
        closed.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.close", close)
    return closed


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_file_that_closing_finds_incomplete_fails_its_stream(
    options: FileOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = connected("{stream}.out", options)
    network_disk_fills_up(monkeypatch)

    with pytest.raises(Permanent, match=r"'s\.out' may be incomplete: No space left on device"):
        deliver(sink, "text")


def test_disconnecting_closes_every_file_and_says_which_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = connected("{stream}.txt")
    for id in ("s1", "s2"):
        sink.open(info(id))
    closed = network_disk_fills_up(monkeypatch)

    with pytest.raises(Permanent, match=r"'s\d\.txt' may be incomplete: No space left on device"):
        sink.disconnect()
    sink.disconnect()

    assert len(set(closed)) == len(closed) == 2


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_full_disk_may_pass(options: FileOptions) -> None:
    sink = connected("/dev/full", options)

    with pytest.raises(Retryable, match="'/dev/full' cannot be written to: No space left on device"):
        deliver(sink, "text")


def test_device_takes_any_text() -> None:
    deliver(connected("/dev/null"), "text")


class Reader:
    """The other end of a named pipe."""

    def __init__(self, path: str) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        return os.read(self._descriptor, 4096)

    def close(self) -> None:
        os.close(self._descriptor)


def test_connecting_to_a_named_pipe_does_not_wait_for_a_reader() -> None:
    os.mkfifo("pipe")

    connected("pipe")


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_named_pipe_gets_all_streams_without_an_end_between_them(options: FileOptions) -> None:
    reader = Reader("pipe")
    sink = connected("pipe", options)

    deliver(sink, "first")
    first = reader.read()
    with pytest.raises(BlockingIOError):
        reader.read()
    deliver(sink, "second")

    assert b"first" in first
    assert b"second" in reader.read()
    sink.disconnect()
    assert reader.read() == b""
    reader.close()


@pytest.mark.parametrize("options", [FileOptions(), JSONL])
def test_named_pipe_without_a_reader_ends_the_lane(options: FileOptions) -> None:
    reader = Reader("pipe")
    sink = connected("pipe", options)
    (chunk,) = chunks(info(), "text")
    sink.open(chunk.stream)
    reader.close()

    with pytest.raises(SinkClosed, match="'pipe' is not read any more"):
        sink.write(chunk)
