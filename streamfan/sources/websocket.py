"""Text from a server that streams over a WebSocket: one JSON message asks, and JSON messages answer.

The messages are those of OpenAI's HTTP API without its framing: `choices[0].delta.content`, and a `finish_reason` in
the last one. There is no `[DONE]`, though one is understood.
"""

from __future__ import annotations

import json
import ssl
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from streamfan.errors import SourceError
from streamfan.hookspecs import hookimpl
from streamfan.options import Seconds
from streamfan.sources.openai.deltas import read
from streamfan.sources.openai.events import LONGEST
from streamfan.sources.openai.faults import Unavailable, excerpt
from streamfan.sources.openai.options import ServerOptions
from streamfan.sources.openai.refusals import refusal
from streamfan.sources.openai.server import ServerSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

    from streamfan.source import Source
    from streamfan.sources.openai.asking import Transport
    from streamfan.sources.openai.deltas import Message
    from streamfan.sources.openai.server import Server

_NORMAL = 1000
# Nobody said goodbye.
_ABNORMAL = 1006
# Going away, an error of the server, restarting, trying later, a bad gateway; and what stands for no code at all.
_PASSING = frozenset({1001, 1005, _ABNORMAL, 1011, 1012, 1013, 1014, 1015})
# What a server has to answer our goodbye: one that is at work may never do so.
_GOODBYE = 1.0


class WebSocketOptions(ServerOptions):
    """The options of the `websocket` source."""

    ping: Seconds = Field(
        default=20.0, description="How often to ask whether the server is there, and how long it may take to say so."
    )


class WebSocketSource(ServerSource):
    """Asks a server over a WebSocket."""

    name = "websocket"
    aliases = ("ws", "wss")
    example = "ws://localhost:8000"
    schemes = ("ws", "wss")
    packages = ("websockets", "tenacity")
    Options = WebSocketOptions
    options: WebSocketOptions

    def transport(self, server: Server) -> Transport:
        return WebSocketTransport(server, self.options.ping)


class WebSocketTransport:
    """Asks over a new connection each time; see `Transport`.

    Args:
        ping: Seconds between two, and for the answer to one; 0 for none.
    """

    ends = False

    def __init__(self, server: Server, ping: float) -> None:
        self._server = server
        self._ping = ping or None

    @asynccontextmanager
    async def __call__(self, body: dict[str, Any], /) -> AsyncIterator[AsyncIterator[Message]]:
        """Connect, and send `body`."""
        from websockets.asyncio.client import connect

        class Connect(connect):
            """Follows no redirect: the prompt is for nobody else."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        headers = self._server.headers
        with self._told():
            async with Connect(
                self._server.url,
                user_agent_header=headers.pop("user-agent"),
                additional_headers=headers,
                open_timeout=self._server.connect_timeout,
                ping_interval=self._ping,
                ping_timeout=self._ping,
                close_timeout=_GOODBYE,
                max_size=LONGEST,
                # A proxy of the environment leads away from here.
                proxy=None if self._server.is_local else True,
            ) as socket:
                await socket.send(json.dumps(body))
                async with aclosing(_messages(socket)) as messages:
                    yield messages

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of the client into ours."""
        from websockets.exceptions import (
            ConnectionClosed,
            InvalidMessage,
            InvalidProxy,
            InvalidStatus,
            WebSocketException,
        )

        name = self._server.name
        try:
            yield
        except ConnectionClosed as error:
            raise _closed(name, error) from None
        except InvalidStatus as error:
            answer = error.response
            said = self._server.without_key(bytes(answer.body or b"").decode(errors="replace"))
            headers = {key.lower(): value for key, value in answer.headers.raw_items()}
            raise refusal(name, answer.status_code, headers, said) from None
        except InvalidProxy:
            # Not quoted: it may hold a password.
            raise SourceError(f"{name}: the environment's proxy cannot be used: its URL is none") from None
        except (ImportError, ValueError) as error:
            # Of what a proxy needs, of its URL, and of a host's name.
            raise SourceError(f"{name}: {error}") from None
        except TimeoutError:
            raise Unavailable(f"{name}: no connection within {self._server.connect_timeout:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise SourceError(f"{name}: {error}") from None
        except (OSError, InvalidMessage) as error:
            raise Unavailable(f"{name}: {error}") from None
        except WebSocketException as error:
            raise SourceError(f"{name}: {error}") from None


async def _messages(socket: ClientConnection) -> AsyncGenerator[Message]:
    from websockets.exceptions import ConnectionClosed

    while True:
        try:
            data = await socket.recv()
        except ConnectionClosed as error:
            if _code(error) == _NORMAL:
                return
            raise
        yield read(data if isinstance(data, str) else data.decode(errors="replace"))


def _closed(name: str, error: ConnectionClosed) -> SourceError:
    close = error.rcvd or error.sent
    reason = f": {excerpt(close.reason)}" if close is not None and close.reason else ""
    code = _code(error)
    what = f"{name}: the connection was lost" if code == _ABNORMAL else f"{name} closed with code {code}{reason}"
    return (Unavailable if code in _PASSING else SourceError)(what)


def _code(error: ConnectionClosed) -> int:
    close = error.rcvd or error.sent
    return _ABNORMAL if close is None else close.code


@hookimpl
def streamfan_sources() -> tuple[type[Source], ...]:
    """The source of this module."""
    return (WebSocketSource,)
