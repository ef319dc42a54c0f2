"""What went wrong in SQLite, as what a lane understands: `Retryable` where it may pass, else `Permanent`."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan import Permanent, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator

# A full disk is IOERR where it is a quota or a limit that was reached. CANTOPEN: out of descriptors, for whether
# there is a directory, and a file in it that may be written, was looked at before.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)
_ADVICE = {
    sqlite3.SQLITE_NOTADB: "Try: a path of its own",
    sqlite3.SQLITE_CORRUPT: "Try: move it away, and see what the command .recover of sqlite3 can save",
}
# The rest of a code says more closely what it was.
_PRIMARY = 0xFF


@contextmanager
def told(path: str) -> Iterator[None]:
    """What SQLite raises within is said of the archive at `path`.

    Raises:
        Retryable: It may pass: somebody else has locked the archive, the disk is full.
        Permanent: It will not: the file is damaged, or no database.
    """
    try:
        yield
    except sqlite3.Error as error:
        # None where it was not SQLite that refused, but its Python module.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
        kind = Retryable if code in _PASSING else Permanent
        advice = f"\n{_ADVICE[code]}" if code in _ADVICE else ""
        raise kind(f"{path!r} cannot be used: {error}{advice}") from error
