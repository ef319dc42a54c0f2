"""A request over HTTP, answered by server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx2

from streamfan.errors import SourceError, SpecError
from streamfan.sources.openai.deltas import read
from streamfan.sources.openai.events import EventDecoder
from streamfan.sources.openai.faults import Unavailable
from streamfan.sources.openai.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from streamfan.sources.openai.deltas import Message
    from streamfan.sources.openai.server import Server

# Of what a server says when it refuses.
_LONGEST_REFUSAL = 64 * 1024
_REFUSING = 2.0


class HttpTransport:
    """Posts to one URL; see `Transport`.

    Raises:
        SpecError: The client library takes it for none.
    """

    ends = True

    def __init__(self, server: Server) -> None:
        self._server = server
        try:
            self._url = httpx2.URL(server.url)
        except httpx2.InvalidURL as error:
            raise SpecError(f"the URL {server.name!r} cannot be used: {error}") from None
        # A server that packs what it sends holds it back until there is enough to pack.
        self._headers = {
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            **server.headers,
        }
        self._timeout = httpx2.Timeout(None, connect=server.connect_timeout)

    @asynccontextmanager
    async def __call__(self, body: dict[str, Any], /) -> AsyncIterator[AsyncIterator[Message]]:
        """Post `body`."""
        with self._told():
            async with (
                self._client() as client,
                client.stream("POST", self._url, content=json.dumps(body), headers=self._headers) as response,
            ):
                if not response.is_success:
                    raise await self._refusal(response)
                async with aclosing(_messages(response)) as messages:
                    yield messages

    def _client(self) -> httpx2.AsyncClient:
        try:
            # With a transport of its own it goes through no proxy of the environment, which leads away from here.
            transport = httpx2.AsyncHTTPTransport() if self._server.is_local else None
            return httpx2.AsyncClient(timeout=self._timeout, transport=transport)
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            # Of a URL nothing is quoted: a proxy's may hold a password.
            why = type(error).__name__ if isinstance(error, httpx2.InvalidURL) else error
            raise SourceError(
                f"{self._server.name}: the environment's proxy or certificates cannot be used: {why}\n"
                "Try: look at $HTTP_PROXY, $HTTPS_PROXY, $ALL_PROXY, $SSL_CERT_FILE and $SSL_CERT_DIR"
            ) from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of the client into ours."""
        name = self._server.name
        try:
            yield
        except httpx2.ConnectTimeout:
            raise Unavailable(f"{name}: no connection within {self._server.connect_timeout:g} s") from None
        except httpx2.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise SourceError(f"{name}: {error}") from None
            raise Unavailable(f"{name}: {str(error) or type(error).__name__}") from None
        except httpx2.HTTPError as error:
            raise SourceError(f"{name}: {error}") from None
        except ExceptionGroup as errors:
            # Of a proxy's port that can be none, say.
            raise SourceError(f"{name}: no connection: {errors.exceptions[0]}") from None

    async def _refusal(self, response: httpx2.Response) -> SourceError:
        body = b""
        # What has been said by then will do: the status says most of it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_REFUSING):
                async for packet in response.aiter_bytes():
                    body += packet
                    if len(body) > _LONGEST_REFUSAL:
                        break
        headers = {name.lower(): value for name, value in response.headers.items()}
        return refusal(
            self._server.name, response.status_code, headers, self._server.without_key(body.decode(errors="replace"))
        )


async def _messages(response: httpx2.Response) -> AsyncGenerator[Message]:
    decoder = EventDecoder()
    async for packet in response.aiter_bytes():
        for event in decoder.push(packet):
            yield read(event.data, type=event.type)
    for event in decoder.finish():
        yield read(event.data, type=event.type, whole=event.whole)
