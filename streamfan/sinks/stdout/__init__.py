"""The `stdout` sink."""

from __future__ import annotations

from streamfan.sinks.stdout.sink import StdoutOptions, StdoutSink, streamfan_sinks

__all__ = ["StdoutOptions", "StdoutSink", "streamfan_sinks"]
