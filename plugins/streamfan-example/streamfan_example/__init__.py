"""The `example` sink: streams go to a collector, over TCP, exactly once.

This is the module that the entry point names. It is imported when somebody says `--sink example`, before anything is
connected, and so should be light: a client library is imported where it is used, see `Sink.connect`.
"""

from __future__ import annotations

from streamfan import Sink, hookimpl
from streamfan_example.options import ExampleOptions
from streamfan_example.sink import ExampleSink

__all__ = ["ExampleOptions", "ExampleSink", "streamfan_sinks"]


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """Give streamfan the sinks of this module."""
    return [ExampleSink]
