"""The `progress` sink."""

from __future__ import annotations

from streamfan.sinks.progress.sink import ProgressOptions, ProgressSink, streamfan_sinks

__all__ = ["ProgressOptions", "ProgressSink", "streamfan_sinks"]
