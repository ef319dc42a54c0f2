"""`tee` for language models: one generation, any number of consumers, live.

Public names are resolved on first use, so that `import streamfan` costs next to nothing and pulls in neither torch nor
any client library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamfan.dropin import AsyncTextIteratorStreamer, TextIteratorStreamer, TextStreamer
    from streamfan.errors import (
        CancelRefused,
        ConfigError,
        HistoryTrimmed,
        Permanent,
        ProducerLost,
        Restarted,
        Retryable,
        ServerError,
        ServerRefused,
        ServerUnreachable,
        SinkClosed,
        SinksFailed,
        SpecError,
        StreamEnded,
        StreamFailed,
        StreamfanError,
        StreamNotFound,
        TextAltered,
        UsageError,
        WireError,
    )
    from streamfan.events import Chunk, End, Event, Gap, Start, StreamInfo, Text
    from streamfan.fan import Fan
    from streamfan.generation import Generation
    from streamfan.options import LaneOptions
    from streamfan.plugins import hookimpl
    from streamfan.report import DeliveryReport, Report, StreamReport
    from streamfan.sink import AsyncSink, Delivery, Sink, SinkOptions
    from streamfan.sinks.callback import Callback
    from streamfan.spill import Spill
    from streamfan.stream import Stream
    from streamfan.streamer import Streamer
    from streamfan.subscriber import AsyncSubscription, Subscription, asubscribe, subscribe

__version__ = "0.1.0"

_HOMES = {
    "streamfan.dropin": ("AsyncTextIteratorStreamer", "TextIteratorStreamer", "TextStreamer"),
    "streamfan.errors": (
        "CancelRefused",
        "ConfigError",
        "HistoryTrimmed",
        "Permanent",
        "ProducerLost",
        "Restarted",
        "Retryable",
        "ServerError",
        "ServerRefused",
        "ServerUnreachable",
        "SinkClosed",
        "SinksFailed",
        "SpecError",
        "StreamEnded",
        "StreamFailed",
        "StreamNotFound",
        "StreamfanError",
        "TextAltered",
        "UsageError",
        "WireError",
    ),
    "streamfan.events": ("Chunk", "End", "Event", "Gap", "Start", "StreamInfo", "Text"),
    "streamfan.fan": ("Fan",),
    "streamfan.generation": ("Generation",),
    "streamfan.options": ("LaneOptions",),
    "streamfan.plugins": ("hookimpl",),
    "streamfan.report": ("DeliveryReport", "Report", "StreamReport"),
    "streamfan.sink": ("AsyncSink", "Delivery", "Sink", "SinkOptions"),
    "streamfan.sinks.callback": ("Callback",),
    "streamfan.spill": ("Spill",),
    "streamfan.stream": ("Stream",),
    "streamfan.streamer": ("Streamer",),
    "streamfan.subscriber": ("AsyncSubscription", "Subscription", "asubscribe", "subscribe"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncSink",
    "AsyncSubscription",
    "AsyncTextIteratorStreamer",
    "Callback",
    "CancelRefused",
    "Chunk",
    "ConfigError",
    "Delivery",
    "DeliveryReport",
    "End",
    "Event",
    "Fan",
    "Gap",
    "Generation",
    "HistoryTrimmed",
    "LaneOptions",
    "Permanent",
    "ProducerLost",
    "Report",
    "Restarted",
    "Retryable",
    "ServerError",
    "ServerRefused",
    "ServerUnreachable",
    "Sink",
    "SinkClosed",
    "SinkOptions",
    "SinksFailed",
    "SpecError",
    "Spill",
    "Start",
    "Stream",
    "StreamEnded",
    "StreamFailed",
    "StreamInfo",
    "StreamNotFound",
    "StreamReport",
    "Streamer",
    "StreamfanError",
    "Subscription",
    "Text",
    "TextAltered",
    "TextIteratorStreamer",
    "TextStreamer",
    "UsageError",
    "WireError",
    "asubscribe",
    "hookimpl",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'streamfan' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
