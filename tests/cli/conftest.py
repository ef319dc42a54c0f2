"""What tests of the command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.command import Shell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder to run `streamfan` in."""
    return Shell(tmp_path)
