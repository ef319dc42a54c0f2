"""The contract kit on the sqlite sink, with each way to search."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from streamfan.testing import MakeSink, Received, SinkContract
from streamfan_sqlite import SqliteOptions, SqliteSink
from tests.support import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streamfan import StreamInfo


class TestSqlite(SinkContract):
    """As it is unless somebody chooses."""

    options: ClassVar[Mapping[str, object]] = {}

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "archive.db"

    @pytest.fixture
    def sink(self, path: Path) -> MakeSink:
        return lambda: SqliteSink(str(path), SqliteOptions.model_validate(self.options))

    @pytest.fixture
    def received(self, path: Path) -> Received:
        def received(stream: StreamInfo) -> str:
            return text_of(path, stream.id, stream.attempt)

        return received


class TestSubstrings(TestSqlite):
    """Every three characters are indexed, and every piece is on the disk."""

    options: ClassVar[Mapping[str, object]] = {"search": "substrings", "synchronous": "full", "store_prompt": False}
