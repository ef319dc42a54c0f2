from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.command import Shell
from tests.support.wall_clock import WallClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder to run `streamfan` in."""
    return Shell(tmp_path)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The time of day."""
    return WallClock(monkeypatch)
