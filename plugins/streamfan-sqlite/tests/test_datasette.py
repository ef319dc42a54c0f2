"""datasette opens an archive as it is, and searches it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import STREAM, deliver, write

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan_sqlite import SqliteSink


@pytest.fixture
def archive(sink: SqliteSink, path: Path) -> Path:
    """An archive with two generations that have ended, and one that has not."""
    deliver(sink, replace(STREAM, id="a", meta={"prompt": "a story"}), "Once upon\0 a time")
    deliver(sink, replace(STREAM, id="b"), "Something else")
    write(sink, replace(STREAM, id="c"), "Once ", "more")
    return path


def test_search_works_as_it_is(archive: Path) -> None:
    assert [row["stream"] for row in get(archive, "/archive/generations.json?_search=once")] == ["a"]
    assert [row["stream"] for row in get(archive, "/archive/generations.json?_search=story")] == ["a"]
    assert get(archive, "/archive/generations.json?_search=nowhere") == []


def test_search_box_is_on_the_page(archive: Path) -> None:
    page = fetch(archive, "/archive/generations")

    assert 'name="_search"' in page
    assert "Once upon" in page


def test_row_has_its_page(archive: Path) -> None:
    assert "Something else" in fetch(archive, "/archive/generations/2")


def test_view_shows_text_so_far(archive: Path) -> None:
    assert [row["text"] for row in get(archive, "/archive/texts.json?finish_reason__isnull=1")] == ["Once more"]


def test_archive_can_be_read_when_nobody_writes(archive: Path, sink: SqliteSink) -> None:
    sink.disconnect()

    assert len(get(archive, "/archive/generations.json?")) == 3


def test_tables_of_the_index_are_hidden(archive: Path) -> None:
    tables = json.loads(fetch(archive, "/archive.json"))["tables"]

    assert {table["name"] for table in tables if not table["hidden"]} == {"generations", "pieces"}


def get(path: Path, url: str) -> list[dict[str, Any]]:
    """Rows, as objects."""
    found: list[dict[str, Any]] = json.loads(fetch(path, f"{url}&_shape=array"))
    return found


def fetch(path: Path, url: str) -> str:
    """What a browser gets, from a datasette of its own: it leaves connections open, of which Python would warn here."""
    command = [sys.executable, "-m", "datasette", str(path), "--get", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
