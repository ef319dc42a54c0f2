"""The `openai` source."""

from __future__ import annotations

from streamfan.sources.openai.options import ServerOptions
from streamfan.sources.openai.source import OpenAISource, streamfan_sources

__all__ = ["OpenAISource", "ServerOptions", "streamfan_sources"]
