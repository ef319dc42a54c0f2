"""Which server is asked, and what every source that asks one has in common."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar

from streamfan import __version__
from streamfan.errors import MissingExtra, UsageError
from streamfan.loop import LoopThread
from streamfan.source import Source
from streamfan.sources.openai.faults import CUT
from streamfan.sources.openai.options import ServerOptions
from streamfan.sources.openai.request import base_url, endpoint, query, shown

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from streamfan.fan import Fan
    from streamfan.source import Request
    from streamfan.sources.openai.asking import Transport

KEY_VARIABLE = "OPENAI_API_KEY"
# What is shorter is no secret, and would be found in the middle of words.
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class Server:
    """A server as a transport needs it.

    Attributes:
        url: The endpoint.
        name: What errors call it.
        key: Empty where there is none.
        connect_timeout: Seconds.
    """

    url: str
    name: str
    host: str
    key: str = field(repr=False)
    connect_timeout: float

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with the request."""
        key = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return {"user-agent": f"streamfan/{__version__}", **key}

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def without_key(self, text: str) -> str:
        """`text`, where the server has not repeated the key, or an excerpt of what it said a part of it."""
        if len(self.key) < _SHORTEST_SECRET:
            return text
        text = text.replace(self.key, "***")
        parts = (self.key[:length] + CUT for length in range(len(self.key) - 1, _SHORTEST_SECRET - 1, -1))
        cut = next((part for part in parts if part in text), None)
        return text if cut is None else text.replace(cut, f"***{CUT}")


class ServerSource(Source):
    """A source that asks a server.

    The target is its base URL, with `/v1` or without. The prompt is a user's message; with `--no-chat` it is text to go
    on from. The server is sent the whole of a conversation each time.

    Attributes:
        schemes: What the URL may begin with.
        packages: What has to be installed, which the extra of the source's name brings.
        variable: The environment variable with the URL, for where there is no target.
    """

    Options = ServerOptions
    options: ServerOptions
    accepts = frozenset({"prompt", "messages", "model", "max_new_tokens", "temperature", "seed", "stop", "chat"})
    schemes: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    variable: ClassVar[str | None] = None

    def __init__(self, target: str | None = None, options: ServerOptions | None = None) -> None:
        super().__init__(target, options)
        self._base = self._parsed(target)

    @property
    def label(self) -> str:
        """The base URL."""
        return shown(self._base)

    @abstractmethod
    def transport(self, server: Server) -> Transport:
        """How this server is reached."""

    def load(self, request: Request) -> None:
        """Look whether all that is needed is there; the server hears nothing of it.

        Raises:
            MissingExtra: A client library is not installed.
            UsageError: The request or the key cannot be used.
        """
        for package in self.packages:
            try:
                importlib.import_module(package)
            except ModuleNotFoundError as error:
                raise MissingExtra(f"source {self.name!r}", error.name or package, self.name) from error
        asked = query(self.name, request, self.options)
        server = Server(
            url=endpoint(self._base, chat=asked.chat),
            name=self.label,
            host=self._base.hostname or "",
            key=self._key(),
            connect_timeout=self.options.connect_timeout,
        )
        self._server = server
        self._transport = self.transport(server)

    def run(self, fan: Fan, request: Request) -> None:
        """Publish the answer; every stream opened has an outcome by then.

        Raises:
            UsageError: The request cannot be used.
        """
        from streamfan.sources.openai.asking import ask

        asked = query(self.name, request, self.options)
        # In a loop of its own, where waiting for a server can be stopped at any point.
        loop = LoopThread(f"streamfan-{self.name}")
        try:
            loop.run(ask(fan, asked, self._transport, hide=self._server.without_key))
        finally:
            loop.stop()

    def _parsed(self, target: str | None) -> SplitResult:
        url = target or (os.environ.get(self.variable) if self.variable else None)
        if not url:
            instead = f", or set ${self.variable}" if self.variable else ""
            raise UsageError(
                f"source {self.name!r} needs the URL of a server\n"
                f"Try: --source {self.name}:{self.schemes[0]}://localhost:8000{instead}"
            )
        return base_url(self.name, url, self.schemes)

    def _key(self) -> str:
        key = self.options.key.get_secret_value() if self.options.key else os.environ.get(KEY_VARIABLE, "")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise UsageError(f"source {self.name!r}: the key holds what no header can carry\nTry: look for white space")
        return key
