"""The contract kit on the file sink, in every way in which it writes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from streamfan.events import decode
from streamfan.sinks.file import FileOptions, FileSink
from streamfan.testing import MakeSink, Received, SinkContract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import ClassVar

    from streamfan.events import Event, StreamInfo


class Way(SinkContract):
    """What the suites have in common."""

    target: ClassVar[str]
    options: ClassVar[Mapping[str, object]] = {}

    @pytest.fixture
    def sink(self, tmp_path: Path) -> MakeSink:
        return lambda: FileSink(str(tmp_path / self.target), FileOptions.model_validate(self.options))


class Texts(Way):
    """The text as it is."""

    target = "{stream}.txt"

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        return lambda stream: (tmp_path / self.target.format(stream=stream.id)).read_bytes().decode()


class Events(Way):
    """Lines of JSON."""

    target = "events.jsonl"

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        return lambda stream: _events((tmp_path / self.target).read_bytes())


class TestText(Texts):
    """A file for each stream."""


class TestOneTextFile(Texts):
    """One file for all streams, one after the other."""

    target = "answer.txt"
    tells_streams_apart = False
    exclude: ClassVar[Mapping[str, str]] = {
        "test_another_sink_goes_on_with_an_attempt": "a sink empties its file when its first stream opens, as tee does",
    }


class TestAppendedText(Texts):
    """What the file holds stays."""

    options: ClassVar[Mapping[str, object]] = {"mode": "append"}
    exclude: ClassVar[Mapping[str, str]] = {
        "test_another_sink_goes_on_with_an_attempt": "a text does not say whose it is: to go on with it is mode resume",
        "test_later_attempt_begins_at_zero": "the text of an earlier attempt stays, for that is what was asked for",
    }


class TestResumedText(Texts):
    """What the file holds is compared."""

    options: ClassVar[Mapping[str, object]] = {"mode": "resume"}
    exclude: ClassVar[Mapping[str, str]] = {
        "test_later_attempt_begins_at_zero": "another text is refused, for that is what was asked for",
    }


class TestAtomicText(Texts):
    """The file is there when it is whole."""

    options: ClassVar[Mapping[str, object]] = {"mode": "atomic"}
    shows_open_streams = False

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        def received(stream: StreamInfo) -> str:
            path = tmp_path / f"{stream.id}.txt"
            return path.read_bytes().decode() if path.exists() else ""

        return received


class TestEvents(Events):
    """Of all streams, in one file."""

    options: ClassVar[Mapping[str, object]] = {"format": "jsonl"}


class TestOverwrittenEvents(Events):
    """In a file that is emptied first."""

    options: ClassVar[Mapping[str, object]] = {"format": "jsonl", "mode": "overwrite"}


class TestResumedEvents(Events):
    """What the file holds of an attempt is compared."""

    options: ClassVar[Mapping[str, object]] = {"format": "jsonl", "mode": "resume"}


class TestAtomicEvents(Events):
    """A file for each stream, there when it is whole."""

    target = "{stream}.jsonl"
    options: ClassVar[Mapping[str, object]] = {"format": "jsonl", "mode": "atomic"}
    shows_open_streams = False

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        def received(stream: StreamInfo) -> list[Event]:
            path = tmp_path / f"{stream.id}.jsonl"
            return _events(path.read_bytes()) if path.exists() else []

        return received


class TestRotatedEvents(Events):
    """In many files, of which the older ones are compressed."""

    options: ClassVar[Mapping[str, object]] = {"format": "jsonl", "rotate_bytes": 300, "gzip": True}

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        def received(stream: StreamInfo) -> list[Event]:
            found = (path.name.removesuffix(".gz") for path in tmp_path.glob("events-*") if path.suffix != ".part")
            names = [*sorted(set(found)), self.target]
            return [event for name in names for event in _events(_content(tmp_path / name))]

        return received


def _events(lines: bytes) -> list[Event]:
    return [decode(line) for line in lines.splitlines()]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        # Compressed, and removed only then.
        return gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
