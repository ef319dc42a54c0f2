"""A sink that keeps generations in a SQLite file: their texts, what is known about them, and an index of words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan import Delivery, Permanent, Retryable, Sink
from streamfan_sqlite.archive import Archive
from streamfan_sqlite.options import SqliteOptions
from streamfan_sqlite.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import Chunk, End, StreamInfo


class SqliteSink(Sink):
    """Keeps generations in a SQLite file, with full-text search: exactly once.

    The target is the path of the file, "streamfan.db" unless given. It is made by whoever connects first, and readable
    by its owner alone. Any number of streams, sinks and programs write to it, and any number read it meanwhile.

    Each attempt at a stream is a row of the table `generations`. What was written is in the file when `write` returns:
    a program that is killed loses none of it. Where the same attempt is sent again, by a replay or by two programs at a
    time, what is there is compared and the rest appended; another text is refused. What is complete is never changed.
    """

    name = "sqlite"
    example = "sqlite:archive.db"
    Options = SqliteOptions
    delivery = Delivery.EXACTLY_ONCE
    options: SqliteOptions

    def __init__(self, target: str | None = None, options: SqliteOptions | None = None) -> None:
        super().__init__(target, options)
        self._place = Place.parse("streamfan.db" if target is None else target)
        self._archive: Archive | None = None
        # How much of each stream that is open has come by here. An archive may hold more, from a program that was
        # killed; a lane would not believe that, and of what it sends the archive takes what it does not have.
        self._passed: dict[tuple[str, int], int] = {}

    @property
    def label(self) -> str:
        """The path."""
        return self._place.name

    def connect(self) -> None:
        self.disconnect()
        self._archive = Archive.open(self._place, self.options)

    def open(self, stream: StreamInfo) -> int:
        if self._archive is None or self._archive.moved:
            self.connect()
        key = stream.id, stream.attempt
        self._passed[key] = min(self._reached().begin(stream), self._passed.get(key, 0))
        return self._passed[key]

    def write(self, chunk: Chunk) -> None:
        key = chunk.stream.id, chunk.stream.attempt
        archive = self._reached()
        # Of a text that is too long the archive keeps the beginning, and how it has ended.
        archive.check_length(chunk)
        with self._let_go_if_refused(key):
            archive.append(chunk)
        self._passed[key] = chunk.end

    def close(self, stream: StreamInfo, end: End) -> None:
        key = stream.id, stream.attempt
        # Of one that was refused the archive keeps what it had.
        if key in self._passed:
            with self._let_go_if_refused(key):
                self._reached().finish(end)
            del self._passed[key]

    def disconnect(self) -> None:
        if self._archive is not None:
            archive, self._archive = self._archive, None
            archive.close()

    @contextmanager
    def _let_go_if_refused(self, key: tuple[str, int]) -> Iterator[None]:
        try:
            yield
        except Permanent:
            del self._passed[key]
            raise

    def _reached(self) -> Archive:
        if self._archive is None:
            raise Retryable(f"{self._place.name!r} is not open")
        return self._archive
