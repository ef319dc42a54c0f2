"""datasette opens an archive as it is, and searches it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from datasette.app import Datasette
from support import STREAM, deliver, write

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
    page = fetch(archive, "/archive/generations").text

    assert 'name="_search"' in page
    assert "Once upon" in page


def test_row_has_its_page(archive: Path) -> None:
    assert "Something else" in fetch(archive, "/archive/generations/2").text


def test_view_shows_text_so_far(archive: Path) -> None:
    assert [row["text"] for row in get(archive, "/archive/texts.json?finish_reason__isnull=1")] == ["Once more"]


def test_archive_can_be_read_when_nobody_writes(archive: Path, sink: SqliteSink) -> None:
    sink.disconnect()

    assert len(get(archive, "/archive/generations.json?")) == 3


def test_tables_of_the_index_are_hidden(archive: Path) -> None:
    tables = fetch(archive, "/archive.json").json()["tables"]

    assert {table["name"] for table in tables if not table["hidden"]} == {"generations", "pieces"}


def get(path: Path, url: str) -> list[dict[str, Any]]:
    """Rows, as objects."""
    found: list[dict[str, Any]] = fetch(path, f"{url}&_shape=array").json()
    return found


def fetch(path: Path, url: str) -> Any:
    """What a browser gets."""

    async def fetched() -> Any:
        datasette = Datasette([str(path)])
        await datasette.invoke_startup()
        response = await datasette.client.get(url)
        for database in datasette.databases.values():
            database.close()
        return response

    response = asyncio.run(fetched())
    assert response.status_code == 200, response.text
    return response
