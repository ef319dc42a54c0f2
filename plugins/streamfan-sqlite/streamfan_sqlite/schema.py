"""What an archive looks like inside, how one is recognized, and how one is made.

A generation's text is what its row has, and then its pieces: a row that grew with every piece would be written again as
a whole each time, and its words indexed again. What a reader sees of both together is the view `texts`.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from streamfan import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streamfan_sqlite.options import Search

APPLICATION = 0x53664172
"""What tells an archive from other SQLite files: "SfAr"."""

VERSION = 1
"""Of the schema below; whoever changes it counts on."""

# The first with tokenizer trigram.
_OLDEST = (3, 34)
_MODULE = "fts5"

_TOKENIZERS: Mapping[Search, str] = {
    "words": "unicode61 remove_diacritics 2",
    "stems": "porter unicode61 remove_diacritics 2",
    "substrings": "trigram",
}

# An id of its own: the other kind of rowid, which the index refers to, may change in a VACUUM.
_GENERATIONS = """
CREATE TABLE generations (
  id INTEGER PRIMARY KEY,
  stream TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  row INTEGER NOT NULL,
  model TEXT,
  started TEXT NOT NULL,
  ended TEXT,
  finish_reason TEXT,
  prompt TEXT,
  text TEXT NOT NULL DEFAULT '',
  bytes INTEGER NOT NULL DEFAULT 0,
  tokens INTEGER,
  ttft REAL,
  duration REAL,
  complete INTEGER,
  error_type TEXT,
  error_message TEXT,
  cancelled_by TEXT,
  cancel_reason TEXT,
  meta TEXT NOT NULL,
  end_meta TEXT,
  sha256 TEXT,
  UNIQUE (stream, attempt)
)"""

_PIECES = """
CREATE TABLE pieces (
  stream TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (stream, attempt, offset)
) WITHOUT ROWID"""

_TEXTS = """
CREATE VIEW texts AS
SELECT id, stream, attempt, row, model, started, ended, finish_reason, prompt, text || coalesce((
  SELECT group_concat(piece, '') FROM (
    SELECT pieces.text AS piece FROM pieces
    WHERE pieces.stream = generations.stream AND pieces.attempt = generations.attempt ORDER BY offset
  )
), '') AS text FROM generations"""

# Double quotes: how datasette finds out that there is an index.
_SEARCH = """
CREATE VIRTUAL TABLE generations_fts USING fts5(
  prompt, text, content="generations", content_rowid="id", tokenize="{tokenizer}"
)"""

_INSERTED = """
CREATE TRIGGER generations_inserted AFTER INSERT ON generations BEGIN
  INSERT INTO generations_fts (rowid, prompt, text) VALUES (new.id, new.prompt, new.text);
END"""

_UPDATED = """
CREATE TRIGGER generations_updated AFTER UPDATE OF id, prompt, text ON generations BEGIN
  INSERT INTO generations_fts (generations_fts, rowid, prompt, text)
  VALUES ('delete', old.id, old.prompt, old.text);
  INSERT INTO generations_fts (rowid, prompt, text) VALUES (new.id, new.prompt, new.text);
END"""

_DELETED = """
CREATE TRIGGER generations_deleted AFTER DELETE ON generations BEGIN
  INSERT INTO generations_fts (generations_fts, rowid, prompt, text)
  VALUES ('delete', old.id, old.prompt, old.text);
  DELETE FROM pieces WHERE stream = old.stream AND attempt = old.attempt;
END"""


def check_library(connection: sqlite3.Connection) -> None:
    """Refuse a SQLite that cannot search.

    Raises:
        Permanent: It is too old, or was built without FTS5.
    """
    found = connection.execute("SELECT 1 FROM pragma_module_list WHERE name = ?", (_MODULE,)).fetchone()
    if found is None or sqlite3.sqlite_version_info < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise Permanent(
            f"this Python has SQLite {sqlite3.sqlite_version}{'' if found else f' without {_MODULE.upper()}'}, "
            f"an archive needs {oldest} with FTS5\nTry: a Python from python.org, your distribution or conda"
        )


def is_made(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file is an archive; False for one with nothing in it.

    Raises:
        Permanent: It is something else, or of a version that this one does not know.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, objects) == (0, 0, 0):
        return False
    if application != APPLICATION:
        raise Permanent(f"{path!r} is a SQLite database of something else\nTry: a path of its own")
    if version != VERSION:
        raise Permanent(
            f"{path!r} has an archive of version {version}, this one knows version {VERSION}\n"
            "Try: pip install --upgrade streamfan-sqlite"
        )
    return True


def make(connection: sqlite3.Connection, search: Search) -> None:
    """Make an archive of an empty file, within a transaction."""
    for statement in _statements(search):
        connection.execute(statement)


def check_search(connection: sqlite3.Connection, path: str, search: Search) -> None:
    """Refuse an archive that is searched in another way.

    Raises:
        Permanent: It is.
    """
    (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'generations_fts'").fetchone()
    ways = (way for way, tokenizer in _TOKENIZERS.items() if f'tokenize="{tokenizer}"' in made)
    way = next(ways, "something else")
    if way != search:
        raise Permanent(
            f"{path!r} was made to be searched for {way}, not for {search}\n"
            f"Try: another path, or leave out the option search"
        )


def _statements(search: Search) -> Iterator[str]:
    yield from (_GENERATIONS, _PIECES, _TEXTS, _SEARCH.format(tokenizer=_TOKENIZERS[search]))
    yield from (_INSERTED, _UPDATED, _DELETED)
    yield f"PRAGMA application_id = {APPLICATION}"
    yield f"PRAGMA user_version = {VERSION}"
