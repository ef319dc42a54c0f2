"""The `file` sink."""

from __future__ import annotations

from streamfan.sinks.file.options import FileOptions
from streamfan.sinks.file.sink import FileSink, streamfan_sinks

__all__ = ["FileOptions", "FileSink", "streamfan_sinks"]
