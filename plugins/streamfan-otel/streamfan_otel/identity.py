"""What this instrumentation is called, for whoever looks at its spans and metrics."""

from __future__ import annotations

from importlib.metadata import version

NAME = "streamfan_otel"
VERSION = version("streamfan-otel")
