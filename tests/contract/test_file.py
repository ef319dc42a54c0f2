"""The contract kit on the file sink, in both formats."""

from __future__ import annotations

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


class TestText(SinkContract):
    """A file for each stream."""

    @pytest.fixture
    def sink(self, tmp_path: Path) -> MakeSink:
        return lambda: FileSink(str(tmp_path / "{stream}.txt"))

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        return lambda stream: (tmp_path / f"{stream.id}.txt").read_bytes().decode()


class TestOneTextFile(SinkContract):
    """One file for all streams, one after the other."""

    tells_streams_apart = False
    exclude: ClassVar[Mapping[str, str]] = {
        "test_another_sink_goes_on_with_an_attempt": "a sink empties its file when its first stream opens, as tee does",
    }

    @pytest.fixture
    def sink(self, tmp_path: Path) -> MakeSink:
        return lambda: FileSink(str(tmp_path / "answer.txt"))

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        return lambda stream: (tmp_path / "answer.txt").read_bytes().decode()


class TestEvents(SinkContract):
    """Lines of JSON, of all streams in one file."""

    @pytest.fixture
    def sink(self, tmp_path: Path) -> MakeSink:
        return lambda: FileSink(str(tmp_path / "events.jsonl"), FileOptions(format="jsonl"))

    @pytest.fixture
    def received(self, tmp_path: Path) -> Received:
        def received(stream: StreamInfo) -> list[Event]:
            return [decode(line) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]

        return received
