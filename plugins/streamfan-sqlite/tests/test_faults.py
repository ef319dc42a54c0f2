"""What passes is waited for: a locked file, a full disk; and a file that was moved away is begun again."""

from __future__ import annotations

import resource
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamfan import Chunk, Fan, Permanent, Retryable
from streamfan.errors import SinkError
from streamfan_sqlite import SqliteSink
from tests.support import DEADLINE, STREAM, check_whole, deliver, ending, rows, text_of, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamfan import StreamInfo


class Watched(SqliteSink):
    """Says that it was refused."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.refused = threading.Event()
        self.errors: list[SinkError] = []

    def open(self, stream: StreamInfo) -> int:
        with self._watching():
            return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        with self._watching():
            super().write(chunk)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except SinkError as error:
            self.errors.append(error)
            self.refused.set()
            raise


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan_sqlite.archive._PATIENCE", 0.05)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else writes for long."""
    with closing(sqlite3.connect(path, timeout=DEADLINE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Nothing that is beside `path` or in it grows much more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 6000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("impatient")
def test_locked_archive_is_retryable_in_every_call(path: Path) -> None:
    sink = SqliteSink(str(path))
    sink.connect()
    write(sink, STREAM, "Once ")

    with locked(path):
        for call in (
            lambda: sink.open(STREAM),
            lambda: sink.write(Chunk(STREAM, 5, b"upon")),
            lambda: sink.close(STREAM, ending(STREAM, "Once ")),
            SqliteSink(str(path)).connect,
        ):
            with pytest.raises(Retryable, match="cannot be used: database is locked"):
                call()

    write(sink, STREAM, "upon")
    sink.close(STREAM, ending(STREAM, "Once upon"))
    sink.disconnect()
    assert text_of(path, "a", 7) == "Once upon"


@pytest.mark.usefixtures("impatient")
def test_locked_archive_is_waited_for(path: Path) -> None:
    sink = Watched(str(path))
    with Fan(sink) as fan, fan.open("a", attempt=7) as stream:
        stream.write("Once ")
        assert wait_for_text(path, "Once ")
        with locked(path):
            stream.write("upon ")
            assert sink.refused.wait(DEADLINE)
        stream.write("a time")

    fan.report.raise_for_failures()
    assert text_of(path, "a", 7) == "Once upon a time"


def test_others_are_waited_for_within_a_call(sink: SqliteSink, path: Path) -> None:
    has_lock = threading.Event()

    def hold() -> None:
        with locked(path):
            has_lock.set()
            threading.Event().wait(0.2)

    other = threading.Thread(target=hold)
    other.start()
    assert has_lock.wait(DEADLINE)
    deliver(sink, STREAM, "text")
    other.join()

    assert text_of(path, "a", 7) == "text"


def test_full_disk_is_retryable_and_loses_nothing(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "Once ")

    with full_disk(path), pytest.raises(Retryable, match="disk"):
        sink.write(Chunk(STREAM, 5, b"upon" * 10_000))
    assert sink.open(STREAM) == 5
    write(sink, STREAM, "upon" * 10_000)
    with full_disk(path), pytest.raises(Retryable, match="disk"):
        sink.close(STREAM, ending(STREAM, "Once " + "upon" * 10_000))

    assert sink.open(STREAM) == 40_005
    sink.close(STREAM, ending(STREAM, "Once " + "upon" * 10_000))
    assert text_of(path, "a", 7) == "Once " + "upon" * 10_000
    check_whole(path)


def test_full_disk_is_waited_for(path: Path) -> None:
    sink = Watched(str(path))
    with Fan(sink) as fan, fan.open("a", attempt=7) as stream:
        stream.write("Once ")
        assert wait_for_text(path, "Once ")
        with full_disk(path):
            stream.write("upon" * 10_000)
            assert sink.refused.wait(DEADLINE)
        stream.write("a time")

    fan.report.raise_for_failures()
    assert text_of(path, "a", 7) == "Once " + "upon" * 10_000 + "a time"
    assert all(isinstance(error, Retryable) for error in sink.errors)
    check_whole(path)


def test_archive_that_is_moved_away_is_begun_again(path: Path) -> None:
    sink = Watched(str(path))
    with Fan(sink) as fan, fan.open("a", attempt=7) as stream:
        stream.write("Once ")
        assert wait_for_text(path, "Once ")
        path.rename(path.with_name("moved.db"))
        stream.write("upon a time")

    fan.report.raise_for_failures()
    assert "was moved or removed" in str(sink.errors[0])
    assert text_of(path, "a", 7) == "Once upon a time"
    check_whole(path)


def test_file_that_takes_an_archives_place_is_not_touched(sink: SqliteSink, path: Path, tmp_path: Path) -> None:
    write(sink, STREAM, "Once ")
    moved, content = path.rename(tmp_path / "moved.db"), b"of somebody else\n" * 1000
    path.write_bytes(content)

    with pytest.raises(Permanent, match="file is not a database"):
        sink.open(STREAM)

    assert path.read_bytes() == content
    assert text_of(moved, STREAM.id, STREAM.attempt) == "Once "


def test_archive_that_takes_anothers_place_stays_whole(sink: SqliteSink, path: Path, tmp_path: Path) -> None:
    other = SqliteSink(str(tmp_path / "other.db"))
    other.connect()
    deliver(other, STREAM, "there before")
    other.disconnect()
    write(sink, STREAM, "Once ")
    path.rename(tmp_path / "moved.db")
    (tmp_path / "other.db").rename(path)

    deliver(sink, replace(STREAM, attempt=8), "after")

    check_whole(path)
    assert text_of(path, STREAM.id, 7) == "there before"
    assert text_of(path, STREAM.id, 8) == "after"
    assert text_of(tmp_path / "moved.db", STREAM.id, 7) == "Once "


def test_next_stream_finds_the_archive_that_is_there_by_then(sink: SqliteSink, path: Path) -> None:
    deliver(sink, STREAM, "text")
    path.unlink()

    deliver(sink, STREAM, "text")

    assert text_of(path, "a", 7) == "text"


def test_connecting_twice_leaves_one_connection(sink: SqliteSink, path: Path) -> None:
    sink.connect()
    sink.disconnect()

    # The last one to leave puts everything into the one file.
    assert list(path.parent.iterdir()) == [path]
    assert rows(path, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]


def wait_for_text(path: Path, text: str) -> bool:
    """Whether the archive has `text` in good time."""
    waited = threading.Event()
    for _ in range(int(DEADLINE / 0.02)):
        if path.exists() and has_texts(path) and text_of(path, "a", 7) == text:
            return True
        waited.wait(0.02)
    return False


def has_texts(path: Path) -> bool:
    return bool(rows(path, "SELECT 1 FROM sqlite_master WHERE name = 'texts'"))
