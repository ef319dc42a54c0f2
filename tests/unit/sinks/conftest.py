from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.standard_output import OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: empty, and the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def output_file(tmp_path: Path) -> Iterator[OutputFile]:
    """A file that standard output goes to."""
    file = OutputFile(tmp_path / "stdout")
    with file.stream:
        yield file
