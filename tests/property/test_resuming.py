"""Exactly once: wherever a disk fills up, the text is there whole and once when there is room again."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import SinkError
from streamfan.events import Chunk, End, Start, Text, decode
from streamfan.sinks.file import FileOptions, FileSink
from streamfan.sinks.stdout import StdoutSink
from tests.support.deliveries import chunks, ending
from tests.support.limits import largest_file
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan.events import StreamInfo
    from streamfan.sink import Sink

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=6)
ROOM = st.lists(st.integers(0, 300), max_size=30)
"""How many more bytes the disk takes, call by call; afterwards there is room for all."""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Disk:
    """A disk that fills up again and again."""

    def __init__(self, path: Path, room: list[int]) -> None:
        self._path = path
        self._room = iter(room)
        path.unlink(missing_ok=True)

    @property
    def content(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

    def call(self, method: Callable[..., object], *arguments: object) -> bool:
        """Call a sink's method while there is little room; says whether it has returned."""
        room = next(self._room, None)
        if room is None:
            method(*arguments)
            return True
        with largest_file(len(self.content) + room), suppress(SinkError, OSError):
            method(*arguments)
            return True
        return False


def deliver(sink: Sink, disk: Disk, stream: StreamInfo, texts: list[str]) -> None:
    """Deliver a stream as a lane does: after a failure, open it again and go on from what is held."""
    whole = chunks(stream, *texts)
    position = 0
    while position < sum(len(chunk.data) for chunk in whole):
        position = reopened(sink, disk, stream)
        for chunk in whole:
            if chunk.end > position and not disk.call(sink.write, rest_of(chunk, position)):
                break
            position = max(position, chunk.end)
    reopened(sink, disk, stream)


def reopened(sink: Sink, disk: Disk, stream: StreamInfo) -> int:
    while not disk.call(sink.open, stream):
        pass
    held = sink.open(stream)
    assert held is not None
    return held


def rest_of(chunk: Chunk, position: int) -> Chunk:
    return Chunk(chunk.stream, max(chunk.offset, position), chunk.data[max(0, position - chunk.offset) :])


@given(TEXTS, ROOM)
def test_text_file_holds_the_text_once(directory: Path, texts: list[str], room: list[int]) -> None:
    disk = Disk(directory / "a.txt", room)
    sink = FileSink(str(directory / "a.txt"))

    deliver(sink, disk, info(), texts)
    sink.disconnect()

    assert disk.content.decode() == "".join(texts)


@given(TEXTS, ROOM)
def test_file_of_events_holds_each_once_and_no_torn_line(directory: Path, texts: list[str], room: list[int]) -> None:
    disk = Disk(directory / "a.jsonl", room)
    sink = FileSink(str(directory / "a.jsonl"), FileOptions(format="jsonl"))
    stream = info()

    deliver(sink, disk, stream, texts)
    sink.close(stream, ending(stream, "".join(texts)))
    sink.disconnect()

    start, *middle, end = [decode(line) for line in disk.content.splitlines()]
    assert isinstance(start, Start)
    assert [event.text for event in middle if isinstance(event, Text)] == texts
    assert isinstance(end, End)


CUT = st.floats(0, 1)
"""Which share of a whole file a killed process has left."""


@given(TEXTS, TEXTS, CUT, ROOM)
def test_resumed_text_is_whole_wherever_it_was_cut(
    directory: Path, texts: list[str], again: list[str], cut: float, room: list[int]
) -> None:
    path = directory / "a.txt"
    disk = Disk(path, room)
    whole = "".join(texts)
    path.write_bytes(whole.encode()[: int(cut * len(whole.encode()))])
    sink = FileSink(str(path), FileOptions(mode="resume"))

    deliver(sink, disk, info(), divided(whole, again))
    sink.disconnect()

    assert disk.content.decode() == whole


@given(TEXTS, TEXTS, CUT, ROOM)
def test_resumed_events_are_whole_wherever_they_were_cut(
    directory: Path, texts: list[str], again: list[str], cut: float, room: list[int]
) -> None:
    path = directory / "a.jsonl"
    disk = Disk(path, room)
    stream, whole = info(), "".join(texts)
    run(FileSink(str(path), FileOptions(format="jsonl")), stream, texts)
    path.write_bytes(disk.content[: int(cut * len(disk.content))])
    sink = FileSink(str(path), FileOptions(format="jsonl", mode="resume"))

    deliver(sink, disk, stream, divided(whole, again))
    sink.close(stream, ending(stream, whole))
    sink.disconnect()

    start, *middle, end = [decode(line) for line in disk.content.splitlines()]
    pieces = [event for event in middle if isinstance(event, Text)]
    assert (type(start), len(pieces), type(end)) == (Start, len(middle), End)
    assert "".join(event.text for event in pieces) == whole
    assert [event.offset for event in pieces] == [0, *(event.end for event in pieces)][: len(pieces)]


def run(sink: FileSink, stream: StreamInfo, texts: list[str]) -> None:
    """A run that nothing happens to."""
    sink.open(stream)
    for chunk in chunks(stream, *texts):
        sink.write(chunk)
    sink.close(stream, ending(stream, "".join(texts)))
    sink.disconnect()


def divided(text: str, like: list[str]) -> list[str]:
    """`text` in other pieces, as long as those of `like`."""
    pieces = []
    for each in like:
        pieces.append(text[: len(each)])
        text = text[len(each) :]
    return [piece for piece in (*pieces, text) if piece]


@given(TEXTS, ROOM)
def test_standard_output_holds_the_text_once(directory: Path, texts: list[str], room: list[int]) -> None:
    disk = Disk(directory / "stdout", room)
    sink = StdoutSink()

    with (directory / "stdout").open("w", encoding="utf-8") as output:
        with redirect_stdout(output):
            sink.connect()
        deliver(sink, disk, info(), texts)

    assert disk.content.decode() == "".join(texts)
