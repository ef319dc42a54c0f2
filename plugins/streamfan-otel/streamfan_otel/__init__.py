"""Streams of streamfan in OpenTelemetry: the sink `otel` makes a span of each, and the hook `otel` measures it.

Nothing of OpenTelemetry is imported before a sink connects or a stream is measured: `streamfan run` imports this module
wherever it is installed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamfan import ConfigError, Sink, hookimpl
from streamfan_otel import following
from streamfan_otel.metrics import Metrics
from streamfan_otel.options import OtelOptions
from streamfan_otel.sink import OtelSink
from streamfan_otel.tracing import TracedFan, trace_context

if TYPE_CHECKING:
    from streamfan import Stream, StreamReport

log = logging.getLogger("streamfan.sinks.otel")

__all__ = [
    "Metrics",
    "OtelOptions",
    "OtelSink",
    "TracedFan",
    "streamfan_finished",
    "streamfan_sinks",
    "trace_context",
]


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """Give streamfan the sinks of this module."""
    return [OtelSink]


@hookimpl
def streamfan_finished(stream: Stream, report: StreamReport) -> None:
    """Measure a stream, if the environment or a sink `otel` asks for that."""
    metrics = following.metrics()
    if metrics is None:
        return
    try:
        metrics(stream, report)
    except ConfigError as error:
        # It will not be another one for the next stream.
        log.warning("streams are not measured: %s", error)
        following.stop()
