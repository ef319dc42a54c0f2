"""The `sqlite` sink: an archive of generations in a SQLite file, with full-text search."""

from __future__ import annotations

from streamfan_sqlite.options import SqliteOptions
from streamfan_sqlite.sink import SqliteSink, streamfan_sinks

__all__ = ["SqliteOptions", "SqliteSink", "streamfan_sinks"]
