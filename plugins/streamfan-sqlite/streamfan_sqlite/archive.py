"""An archive that is open: what can be done with the generations in it, each thing in one transaction.

Nothing is remembered of a generation from one call to the next: what counts is in the file, to which other programs
write as well.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from streamfan import Permanent, Retryable
from streamfan.events import well_formed
from streamfan_sqlite import schema
from streamfan_sqlite.faults import told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from streamfan import Chunk, End, StreamInfo
    from streamfan_sqlite.options import SqliteOptions
    from streamfan_sqlite.place import Place

log = logging.getLogger("streamfan.sinks.sqlite")

# Seconds to wait for other programs; the lane comes back after that.
_PATIENCE = 5.0
# Of what SQLite takes as one row, for all that is in it beside the text.
_ROOM = 1 << 20

_BEGIN = """
INSERT INTO generations (stream, attempt, row, model, started, prompt, meta)
VALUES (:stream, :attempt, :row, :model, :started, :prompt, :meta) ON CONFLICT (stream, attempt) DO NOTHING"""

_HELD = """
SELECT coalesce((
  SELECT offset + pieces.bytes FROM pieces
  WHERE pieces.stream = generations.stream AND pieces.attempt = generations.attempt ORDER BY offset DESC LIMIT 1
), bytes), complete IS 1 FROM generations WHERE stream = :stream AND attempt = :attempt"""

# One statement, so that nobody comes between the question and the answer.
_APPEND = """
INSERT INTO pieces (stream, attempt, offset, bytes, text)
SELECT stream, attempt, :offset, :bytes, :text FROM generations
WHERE stream = :stream AND attempt = :attempt AND complete IS NOT 1 AND :offset = coalesce((
  SELECT offset + pieces.bytes FROM pieces
  WHERE pieces.stream = :stream AND pieces.attempt = :attempt ORDER BY offset DESC LIMIT 1
), generations.bytes)"""

# The row has the beginning.
_TEXTS = """
SELECT text FROM (
  SELECT -1 AS offset, text FROM generations WHERE stream = :stream AND attempt = :attempt
  UNION ALL SELECT offset, text FROM pieces WHERE stream = :stream AND attempt = :attempt
) ORDER BY offset"""

_REMOVE_PIECES = "DELETE FROM pieces WHERE stream = :stream AND attempt = :attempt"

_SET_TEXT = "UPDATE generations SET text = :text, bytes = :bytes WHERE stream = :stream AND attempt = :attempt"

_FINISH = """
UPDATE generations SET ended = :ended, finish_reason = :finish_reason, tokens = :tokens, ttft = :ttft,
  duration = :duration, complete = :complete, error_type = :error_type, error_message = :error_message,
  cancelled_by = :cancelled_by, cancel_reason = :cancel_reason, end_meta = :end_meta, sha256 = :sha256
WHERE stream = :stream AND attempt = :attempt"""


class Archive:
    """An archive that is open; whoever opens it closes it, on the same thread.

    Args:
        place: Where it is.
        connection: To the file there.
        store_prompt: See `SqliteOptions`.
    """

    def __init__(self, place: Place, connection: sqlite3.Connection, *, store_prompt: bool) -> None:
        self._place = place
        self._connection = connection
        self._store_prompt = store_prompt
        self._identity = place.identity()

    @classmethod
    def open(cls, place: Place, options: SqliteOptions) -> Archive:
        """Open the archive that is there, or make one.

        Raises:
            Retryable: Another program has locked it for long, or the disk is full.
            Permanent: It cannot be made, or what is there is no archive.
        """
        place.make()
        with told(place.name):
            # Every transaction is begun by hand.
            connection = sqlite3.connect(place.path.resolve(), timeout=_PATIENCE, isolation_level=None)
            archive = cls(place, connection, store_prompt=options.store_prompt)
            try:
                archive._prepare(options)
                archive._gather()
            except BaseException:
                connection.close()
                raise
        return archive

    @property
    def moved(self) -> bool:
        """Whether the file was moved or removed, so that nobody would find what is written to it."""
        return self._place.identity() != self._identity

    def close(self) -> None:
        """Let go of the file; into one that was moved goes first all that SQLite still has beside its old name.

        SQLite would take that for a part of whatever file has the name by now, and write it there.
        """
        try:
            if self.moved:
                with told(self._place.name):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            self._connection.close()

    def begin(self, stream: StreamInfo) -> int:
        """Enter a generation, unless it is there; and how many bytes of its text are."""
        with self._used(), self._transaction():
            self._connection.execute(_BEGIN, self._described(stream))
            return self._held(stream.id, stream.attempt)[0]

    def check_length(self, chunk: Chunk) -> None:
        """Refuse what could never be one text with what is before it.

        Raises:
            Permanent: That would be longer than a row may be.
        """
        longest = self._connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - _ROOM
        if chunk.end > longest:
            raise Permanent(f"{self._place.name!r} takes texts of {longest:,} bytes at most")

    def append(self, chunk: Chunk) -> None:
        """Store a piece of text; what is there of it is compared.

        Raises:
            Retryable: Text before it is missing.
            Permanent: Another text is there.
        """
        with self._used():
            if not self._appended(chunk.stream, chunk.offset, chunk.data):
                self._append_rest(chunk)

    def finish(self, end: End) -> None:
        """Store how a generation has ended, and make one text of its pieces, which can be searched from then on.

        Raises:
            Retryable: Text is missing.
            Permanent: The text that is there is another one.
        """
        key = end.stream, end.attempt
        with self._used(), self._transaction():
            held, complete = self._held(*key)
            if end.complete and held < end.offset and not complete:
                raise self._missing(*key, held, end.offset)
            sha256 = self._join(*key)
            if end.complete and sha256 != end.sha256:
                raise self._other_text(*key)
            if not complete:
                self._connection.execute(_FINISH, _outcome(end) | {"sha256": sha256})

    def _prepare(self, options: SqliteOptions) -> None:
        """Make the archive, if the file is empty; nothing is changed in one that is something else."""
        schema.check_library(self._connection)
        schema.is_made(self._connection, self._place.name)
        self._connection.execute("PRAGMA journal_mode = WAL").close()
        self._connection.execute(f"PRAGMA synchronous = {options.synchronous}")
        with self._transaction():
            # Another program may have been faster.
            if not schema.is_made(self._connection, self._place.name):
                schema.make(self._connection, options.search)
        if "search" in options.model_fields_set:
            schema.check_search(self._connection, self._place.name, options.search)

    def _gather(self) -> None:
        """Have searches find what killed programs have left; it does no harm to one that is still writing."""
        with closing(self._connection.execute("SELECT DISTINCT stream, attempt FROM pieces")) as found:
            left = found.fetchall()
        for stream, attempt in left:
            try:
                with self._transaction():
                    self._join(stream, attempt)
            except sqlite3.DataError as error:
                # Too long for a row, with a long prompt: it stays as it is, and the archive can be used.
                log.warning(
                    "%r: attempt %s at stream %r cannot be searched: %s", self._place.name, attempt, stream, error
                )

    @contextmanager
    def _used(self) -> Iterator[None]:
        if self.moved:
            raise Retryable(f"{self._place.name!r} was moved or removed while it was written to")
        with told(self._place.name):
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # At once: one that begins by reading may be refused when it comes to write.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has done so already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _held(self, stream: str, attempt: int) -> tuple[int, bool]:
        """How many bytes of a generation's text there are, and whether it is complete."""
        row = self._connection.execute(_HELD, _key(stream, attempt)).fetchone()
        if row is None:
            raise Retryable(f"attempt {attempt} at stream {stream!r} was removed from {self._place.name!r}")
        return row[0], bool(row[1])

    def _appended(self, stream: StreamInfo, offset: int, data: bytes) -> bool:
        """Whether text could be appended, because all that is before it is there, and no more."""
        piece = {"offset": offset, "bytes": len(data), "text": data.decode()}
        return self._connection.execute(_APPEND, _key(stream.id, stream.attempt) | piece).rowcount == 1

    def _append_rest(self, chunk: Chunk) -> None:
        """Store what is not there of a piece, for a part may be: another sink, or one that was killed, has sent it."""
        key = chunk.stream.id, chunk.stream.attempt
        with self._transaction():
            held, complete = self._held(*key)
            if held < chunk.offset:
                raise self._missing(*key, held, chunk.offset)
            there = self._text(*key).encode()[chunk.offset : chunk.end]
            rest = chunk.data[len(there) :]
            if not chunk.data.startswith(there) or (rest and complete):
                raise self._other_text(*key)
            if rest:
                self._appended(chunk.stream, held, rest)

    def _text(self, stream: str, attempt: int) -> str:
        """A generation's text so far; not by the view, for SQLite promises no order of what an aggregate joins."""
        return "".join(text for (text,) in self._connection.execute(_TEXTS, _key(stream, attempt)))

    def _join(self, stream: str, attempt: int) -> str:
        """Move the pieces of a generation into its row; and the sha256 of its text."""
        text, key = self._text(stream, attempt), _key(stream, attempt)
        data = text.encode()
        if self._connection.execute(_REMOVE_PIECES, key).rowcount:
            self._connection.execute(_SET_TEXT, key | {"text": text, "bytes": len(data)})
        return hashlib.sha256(data).hexdigest()

    def _described(self, stream: StreamInfo) -> dict[str, Any]:
        meta = dict(stream.meta)
        prompt = meta.pop("prompt", None)
        return {
            "stream": stream.id,
            "attempt": stream.attempt,
            "row": stream.row,
            "model": None if stream.model is None else well_formed(stream.model),
            "started": _moment(stream.time),
            "prompt": _prompt(prompt) if self._store_prompt else None,
            "meta": _json(meta),
        }

    def _missing(self, stream: str, attempt: int, held: int, expected: int) -> Retryable:
        return Retryable(
            f"{self._place.name!r} holds {held:,} bytes of attempt {attempt} at stream {stream!r}, "
            f"expected {expected:,}"
        )

    def _other_text(self, stream: str, attempt: int) -> Permanent:
        return Permanent(f"{self._place.name!r} has another text of attempt {attempt} at stream {stream!r}")


def _key(stream: str, attempt: int) -> dict[str, str | int]:
    return {"stream": stream, "attempt": attempt}


def _outcome(end: End) -> dict[str, Any]:
    error, cancel = end.error, end.cancel
    return {
        "stream": end.stream,
        "attempt": end.attempt,
        "ended": _moment(end.time),
        "finish_reason": end.finish_reason,
        "tokens": end.tokens,
        "ttft": end.ttft,
        "duration": end.duration,
        "complete": end.complete,
        "error_type": None if error is None else well_formed(error.type),
        "error_message": None if error is None else well_formed(error.message),
        "cancelled_by": None if cancel is None else well_formed(cancel.by),
        "cancel_reason": None if cancel is None else well_formed(cancel.reason),
        "end_meta": _json(end.meta),
    }


def _moment(time: datetime) -> str:
    """A time as SQLite's functions take it, and as sorting puts it right."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _prompt(prompt: Any) -> str | None:
    """A prompt as text: a list of messages, say, is stored as JSON."""
    return prompt if prompt is None or isinstance(prompt, str) else _json(prompt)


def _json(value: Any) -> str:
    # As in events; and JSON has no NaN.
    return to_json(value, inf_nan_mode="null").decode()
