"""The `sqlite` sink: an archive of generations in a SQLite file, with full-text search."""

from __future__ import annotations

from streamfan import Sink, hookimpl
from streamfan_sqlite.options import SqliteOptions
from streamfan_sqlite.sink import SqliteSink

__all__ = ["SqliteOptions", "SqliteSink", "streamfan_sinks"]


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """Give streamfan the sinks of this module."""
    return [SqliteSink]
