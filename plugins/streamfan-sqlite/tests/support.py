"""What the tests share: streams made by hand, and SQL as any reader of an archive would send it."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streamfan import Chunk, StreamInfo, testing

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan import End, Sink

DEADLINE = 30.0
"""Seconds after which what must happen has not happened."""

TIME = datetime(2026, 11, 20, 17, 23, 31, 42_000, UTC)
STREAM = StreamInfo(id="a", attempt=7, writer="w", time=TIME, model="m")


def ending(stream: StreamInfo, text: str, **changes: Any) -> End:
    """The end of a stream that was `text`, at a time that is known."""
    return testing.ending(stream, text, **{"duration": 1.5, "time": TIME, **changes})


def write(sink: Sink, stream: StreamInfo, *texts: str) -> None:
    """Open a stream, and go on with it from where `open` says."""
    offset = sink.open(stream) or 0
    for text in texts:
        sink.write(chunk := Chunk(stream, offset, text.encode()))
        offset = chunk.end


def deliver(sink: Sink, stream: StreamInfo, *texts: str) -> None:
    """A whole stream."""
    write(sink, stream, *texts)
    sink.close(stream, ending(stream, "".join(texts)))


def rows(path: Path, sql: str, *values: object) -> list[dict[str, Any]]:
    """What a query gives."""
    with closing(sqlite3.connect(path, timeout=DEADLINE)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def run(path: Path, *statements: str) -> None:
    """Change something, as somebody else would."""
    with closing(sqlite3.connect(path, timeout=DEADLINE, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def text_of(path: Path, stream: str, attempt: int) -> str:
    """A generation's text so far; empty if there is none."""
    found = rows(path, "SELECT text FROM texts WHERE stream = ? AND attempt = ?", stream, attempt)
    return str(found[0]["text"]) if found else ""


def found(path: Path, words: str) -> list[str]:
    """The streams that a search finds, in the order of their rows."""
    sql = """
      SELECT stream FROM generations
      WHERE id IN (SELECT rowid FROM generations_fts WHERE generations_fts MATCH ?) ORDER BY id"""
    return [row["stream"] for row in rows(path, sql, words)]


def check_whole(path: Path) -> None:
    """Nothing is damaged, and the index has exactly what the table has."""
    assert rows(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    run(path, "INSERT INTO generations_fts (generations_fts, rank) VALUES ('integrity-check', 1)")


def streamfan(*arguments: str) -> None:
    """The command, in a process that has nothing else to do."""
    from streamfan.__main__ import main

    sys.argv[1:] = arguments
    main()
