"""What an archive cannot be, said in one clear error; and nothing is changed in what is something else."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import Chunk, Permanent, SpecError
from streamfan_sqlite import SqliteOptions, SqliteSink, schema
from tests.support import STREAM, deliver, ending, found, rows, run, text_of, write

if TYPE_CHECKING:
    from collections.abc import Iterator


def refusal(path: Path, **options: object) -> str:
    """Why a sink cannot be connected, in lines."""
    sink = SqliteSink(str(path), SqliteOptions.model_validate(options))
    with pytest.raises(Permanent) as caught:
        sink.connect()
    sink.disconnect()
    return str(caught.value).replace(str(path), "archive.db")


@pytest.mark.parametrize("content", [b"xy", b"not a database\n" * 100])
def test_file_that_is_no_database_is_refused_and_stays(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert refusal(path) == "'archive.db' cannot be used: file is not a database\nTry: a path of its own"
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_database_of_something_else_is_refused_and_stays(path: Path) -> None:
    run(path, "CREATE TABLE theirs (x)")
    content = path.read_bytes()

    assert refusal(path) == "'archive.db' is a SQLite database of something else\nTry: a path of its own"
    assert path.read_bytes() == content


def test_newer_archive_is_refused_and_stays(sink: SqliteSink, path: Path) -> None:
    sink.disconnect()
    run(path, f"PRAGMA user_version = {schema.VERSION + 1}")
    content = path.read_bytes()

    assert refusal(path) == (
        "'archive.db' has an archive of version 2, this one knows version 1\n"
        "Try: pip install --upgrade streamfan-sqlite"
    )
    assert path.read_bytes() == content


def test_damaged_archive_is_refused(sink: SqliteSink, path: Path) -> None:
    deliver(sink, STREAM, "text " * 10_000)
    sink.disconnect()
    with path.open("r+b") as file:
        # What is after the header, in its first page: the schema.
        file.seek(100)
        file.write(b"\xff" * 3000)

    assert refusal(path).startswith("'archive.db' cannot be used: database disk image is malformed\nTry: move it away")


def test_another_way_to_search_is_refused_where_it_is_asked_for(sink: SqliteSink, path: Path) -> None:
    assert refusal(path, search="stems") == (
        "'archive.db' was made to be searched for words, not for stems\n"
        "Try: another path, or leave out the option search"
    )


def test_way_to_search_need_not_be_said_again(path: Path) -> None:
    made, again = SqliteSink(str(path), SqliteOptions(search="stems")), SqliteSink(str(path))
    for sink in (made, again):
        sink.connect()
        sink.disconnect()


def test_library_that_cannot_search_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # There is no other way to be without it: what is asked for is a module that there is not.
    monkeypatch.setattr(schema, "_MODULE", "fts6")

    assert "without FTS6, an archive needs 3.34 with FTS5\nTry: a Python from" in refusal(path)


def test_library_that_is_too_old_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 31, 1))

    assert "an archive needs 3.34" in refusal(path)


@pytest.mark.parametrize("target", ["", "out/", "a\0b", "~nobody-of-that-name/x.db"])
def test_target_that_names_no_file_is_an_error_of_the_specification(target: str) -> None:
    with pytest.raises(SpecError, match="path"):
        SqliteSink(target)


def test_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no where"

    assert refusal(missing / "x.db").endswith(f"no directory '{missing}'\nTry: mkdir -p '{missing}'")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    assert refusal(tmp_path).endswith("cannot be opened: a directory")
    assert refusal(tmp_path / "pipe").endswith("cannot be opened: no regular file")
    assert refusal(tmp_path / "loop").endswith("cannot be opened: Too many levels of symbolic links")
    assert refusal(tmp_path / "pipe" / "x.db").count("cannot be opened") == 1


@contextmanager
def somebody_else() -> Iterator[None]:
    """Nobody, where the tests are root's, who may write everywhere."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_may_not_be_written_is_refused() -> None:
    # Not in pytest's directories, which are for one user.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "readonly.db").touch(0o444)
        directory.chmod(0o555)
        with somebody_else():
            assert refusal(directory / "new.db").endswith(f"directory '{directory}' cannot be written to")
        directory.chmod(0o777)
        with somebody_else():
            assert refusal(directory / "readonly.db").endswith("cannot be opened: Permission denied")


def test_all_files_are_their_owners_alone(sink: SqliteSink, path: Path) -> None:
    before = os.umask(0)
    try:
        other = SqliteSink(str(path.with_name("other.db")))
        other.connect()
        deliver(other, STREAM, "text")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("other.db*")}
        other.disconnect()
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(("other.db", "other.db-wal", "other.db-shm"), 0o600)


def test_permissions_of_a_file_that_exists_stay(path: Path) -> None:
    path.touch()
    path.chmod(0o640)

    sink = SqliteSink(str(path))
    sink.connect()
    sink.disconnect()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_link_is_followed(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)

    sink = SqliteSink(str(link))
    sink.connect()
    deliver(sink, STREAM, "text")
    sink.disconnect()

    assert link.is_symlink()
    assert text_of(path, "a", 7) == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_path_is_meant_from_where_the_sink_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = SqliteSink()
    monkeypatch.chdir("/")
    sink.connect()
    sink.disconnect()

    assert sink.label == "streamfan.db"
    assert rows(tmp_path / "streamfan.db", "SELECT * FROM generations") == []


def limit_length(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Have SQLite take less than its 1 GB in one row."""
    connect = sqlite3.connect

    def limited(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
        return connection

    monkeypatch.setattr("streamfan_sqlite.archive.sqlite3.connect", limited)


def test_text_that_is_too_long_for_a_row_is_kept_up_to_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_length(monkeypatch, (1 << 20) + 5000)
    sink = SqliteSink(str(path))
    sink.connect()
    write(sink, STREAM, "word " * 900)

    with pytest.raises(Permanent, match=r"archive\.db' takes texts of 5,000 bytes at most$"):
        sink.write(Chunk(STREAM, 4500, b"word " * 200))
    sink.close(STREAM, ending(STREAM, "word " * 1100, complete=False))
    sink.disconnect()

    assert rows(path, "SELECT bytes, finish_reason, complete FROM generations") == [
        {"bytes": 4500, "finish_reason": "stop", "complete": 0}
    ]
    assert found(path, "word") == ["a"]


def test_generation_that_cannot_be_searched_does_not_keep_an_archive_from_being_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed = SqliteSink(str(path))
    killed.connect()
    write(killed, STREAM, "a" * 3000, "b" * 3000)
    killed.disconnect()
    limit_length(monkeypatch, 5000)
    sink = SqliteSink(str(path))

    sink.connect()
    sink.open(replace(STREAM, id="b"))
    sink.disconnect()

    monkeypatch.undo()
    assert rows(path, "SELECT stream FROM generations ORDER BY id") == [{"stream": "a"}, {"stream": "b"}]
    assert text_of(path, "a", STREAM.attempt) == "a" * 3000 + "b" * 3000
    assert "attempt 7 at stream 'a' cannot be searched" in caplog.text
