"""Whether the streams of a run are measured, and with which options: the hook has none of its own.

A sink `otel` says both. Without one the environment can ask for metrics, and else there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan_otel.environment import metrics_wanted
from streamfan_otel.metrics import Metrics

if TYPE_CHECKING:
    from streamfan_otel.options import OtelOptions

_metrics: Metrics | None = None
_stopped = False


def follow(options: OtelOptions) -> None:
    """From now on, streams are measured, with the options of a sink; the last one's count."""
    global _metrics
    _metrics = Metrics(options)


def metrics() -> Metrics | None:
    """What measures streams; None if nobody asks for it."""
    global _metrics
    if _metrics is None and metrics_wanted():
        _metrics = Metrics()
    return None if _stopped else _metrics


def stop() -> None:
    """Measure nothing any more."""
    global _stopped
    _stopped = True
