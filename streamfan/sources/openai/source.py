"""Text from any server that speaks OpenAI's HTTP API: vLLM, llama.cpp, Ollama, mlx-lm, `transformers serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.hookspecs import hookimpl
from streamfan.sources.openai.server import ServerSource

if TYPE_CHECKING:
    from streamfan.source import Source
    from streamfan.sources.openai.asking import Transport
    from streamfan.sources.openai.server import Server


class OpenAISource(ServerSource):
    """Asks a server over HTTP, which answers with server-sent events."""

    name = "openai"
    example = "openai:http://localhost:8000"
    schemes = ("http", "https")
    packages = ("httpx2", "tenacity")
    variable = "OPENAI_BASE_URL"

    def transport(self, server: Server) -> Transport:
        from streamfan.sources.openai.http import HttpTransport

        return HttpTransport(server)


@hookimpl
def streamfan_sources() -> tuple[type[Source], ...]:
    """The source of this module."""
    return (OpenAISource,)
