from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan_sqlite import SqliteSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def sink(path: Path) -> Iterator[SqliteSink]:
    sink = SqliteSink(str(path))
    sink.connect()
    yield sink
    sink.disconnect()
