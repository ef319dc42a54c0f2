"""`tee` for language models: one generation, any number of consumers, live.

Public names are resolved on first use, so that `import streamfan` costs next to nothing and pulls in neither torch nor
any client library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamfan.errors import (
        Permanent,
        Retryable,
        SinkClosed,
        SinksFailed,
        StreamEnded,
        StreamFailed,
        StreamfanError,
        UsageError,
    )
    from streamfan.events import Chunk, End, Start, StreamInfo, Text
    from streamfan.fan import Fan
    from streamfan.generation import Generation
    from streamfan.options import LaneOptions
    from streamfan.plugins import hookimpl
    from streamfan.report import Report
    from streamfan.sink import AsyncSink, Delivery, Sink, SinkOptions
    from streamfan.sinks.callback import Callback
    from streamfan.stream import Stream
    from streamfan.streamer import Streamer

__version__ = "0.1.0"

_HOMES = {
    "streamfan.errors": (
        "Permanent",
        "Retryable",
        "SinkClosed",
        "SinksFailed",
        "StreamEnded",
        "StreamFailed",
        "StreamfanError",
        "UsageError",
    ),
    "streamfan.events": ("Chunk", "End", "Start", "StreamInfo", "Text"),
    "streamfan.fan": ("Fan",),
    "streamfan.generation": ("Generation",),
    "streamfan.options": ("LaneOptions",),
    "streamfan.plugins": ("hookimpl",),
    "streamfan.report": ("Report",),
    "streamfan.sink": ("AsyncSink", "Delivery", "Sink", "SinkOptions"),
    "streamfan.sinks.callback": ("Callback",),
    "streamfan.stream": ("Stream",),
    "streamfan.streamer": ("Streamer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncSink",
    "Callback",
    "Chunk",
    "Delivery",
    "End",
    "Fan",
    "Generation",
    "LaneOptions",
    "Permanent",
    "Report",
    "Retryable",
    "Sink",
    "SinkClosed",
    "SinkOptions",
    "SinksFailed",
    "Start",
    "Stream",
    "StreamEnded",
    "StreamFailed",
    "StreamInfo",
    "Streamer",
    "StreamfanError",
    "Text",
    "UsageError",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'streamfan' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
