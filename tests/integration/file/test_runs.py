"""Whole runs, one after the other, on the same file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.writers import random_text

if TYPE_CHECKING:
    from pathlib import Path

TEXT = random_text(5_000)


def run(path: Path, options: FileOptions, step: int, *, length: int | None = None) -> bytes:
    """Generate the same attempt, `step` characters at a time, and say what the file holds then."""
    with Fan(FileSink(str(path), options)) as fan, fan.open("s", attempt=7) as stream:
        for position in range(0, len(TEXT), step):
            stream.write(TEXT[position : position + step])
    fan.report.raise_for_failures()
    whole = path.read_bytes()
    if length is not None:
        path.write_bytes(whole[:length])
    return whole


@pytest.mark.parametrize("options", [FileOptions(mode="resume"), FileOptions(mode="resume", format="jsonl")])
def test_run_that_is_repeated_adds_what_is_missing_and_nothing_else(tmp_path: Path, options: FileOptions) -> None:
    path = tmp_path / "a.out"
    first = run(path, options, 7, length=3_000)

    resumed = run(path, options, 501)
    repeated = run(path, options, 11)

    assert first[:2_500] == resumed[:2_500]
    assert repeated == resumed
    if options.format == "text":
        assert resumed == TEXT.encode()


def test_run_without_a_whole_text_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    with Fan(FileSink(str(path), FileOptions(mode="atomic"))) as fan, fan.open() as stream:
        stream.write("new")
        before = path.read_text()

    assert (before, path.read_text()) == ("old", "new")
