"""What a fan does, for Prometheus; see `docs/metrics.md` for the names.

A service that shows metrics anyway registers a fan with its own registry:

    from prometheus_client import REGISTRY
    from streamfan.metrics import FanCollector

    REGISTRY.register(FanCollector(fan))

Needs the extra `metrics`.
"""

from __future__ import annotations

from streamfan.errors import MissingExtra

try:
    from streamfan.metrics.collector import FanCollector
    from streamfan.metrics.file import MetricsFile
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("prometheus_client"):
        raise
    raise MissingExtra("streamfan.metrics", "prometheus_client", "metrics") from None

__all__ = ["FanCollector", "MetricsFile"]
