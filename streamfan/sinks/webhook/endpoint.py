"""One URL that is posted to, over one connection that is kept.

This speaks to httpcore2, the layer below httpx2's client, because the client logs whole URLs, keeps cookies, and gives
no say in which address a host name is connected to. Here a name is resolved, every address checked, and a checked
address connected to, so there is no moment in between for the answer to change. `Host` and the TLS server name stay
those of the URL. Redirects, proxies and retries are left out by not being there.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from streamfan.errors import Permanent
from streamfan.sinks.webhook.addresses import refusal
from streamfan.sinks.webhook.answers import Answer
from streamfan.sinks.webhook.urls import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_EXCERPT = 2 * 1024
# Read on this far for the sake of the connection, which can be kept only when the whole body has been read.
_DRAINED = 64 * 1024
_PIECE = 16 * 1024
# Below what load balancers allow an idle connection; a server that closes it sooner is noticed before it is used.
_IDLE_SECONDS = 30.0


class Endpoint:
    """A URL and the connection to it; for one thread at a time.

    Args:
        url: An http or https URL without user name and fragment.
        shown: What errors call it.
        timeout: Seconds that one exchange may take, from connecting to the end of the answer. Resolving the host's
            name is not interrupted by it: the system's resolver has limits of its own.

    Raises:
        SpecError: The host is no host name by the rules for international ones.
    """

    def __init__(self, url: str, *, shown: str, timeout: float) -> None:
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise refused("has a host that cannot be read") from None
        self._url = httpcore2.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
        )
        self._host = parsed.netloc
        self._shown = shown
        self._deadline = _Deadline(timeout)
        self._tls = httpcore2.default_ssl_context()
        self._backend = _CheckedBackend(self._deadline)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=self._tls, max_connections=1, keepalive_expiry=_IDLE_SECONDS, network_backend=self._backend
        )

    def probe(self) -> None:
        """Connect, up to the end of the TLS handshake where there is one, and hang up; nothing is sent.

        Raises:
            TimeoutError: It took longer than an exchange may.
            ConnectionError: There is no connection to be had now.
            Permanent: The address is one that nothing is sent to, or the certificate is not trusted.
        """
        host = self._url.host.decode("ascii")
        with self._exchange():
            stream = self._backend.connect_tcp(host, self._url.origin.port)
            try:
                if self._url.scheme == b"https":
                    stream = stream.start_tls(self._tls, host)
            finally:
                stream.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`, and return the answer whatever its status; errors are those of `probe`."""
        raw = [(b"host", self._host), *((name.encode(), value.encode()) for name, value in headers.items())]
        with self._exchange(), self._pool.stream("POST", self._url, headers=raw, content=body) as response:
            return Answer(response.status, _first_of_each(response.headers), _beginning(response))

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        self._deadline.start()
        try:
            yield
        except httpcore2.TimeoutException:
            raise TimeoutError(f"{self._shown} did not answer within {self._deadline.seconds:g} s") from None
        except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
            raise ConnectionError(f"{self._shown}: {error}") from None


def _first_of_each(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _beginning(response: httpcore2.Response) -> bytes:
    kept, seen = b"", 0
    # The status has been given and it decides; a body that breaks off or does not end changes nothing.
    with suppress(httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.RemoteProtocolError):
        for part in response.iter_stream():
            kept = (kept + part[:_EXCERPT])[:_EXCERPT]
            seen += len(part)
            if seen > _DRAINED:
                break
    return kept


class _Deadline:
    """When the exchange under way must be over.

    httpcore2 limits each step, and a server that sends a byte now and then passes every step.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = 0.0

    def start(self) -> None:
        self._at = time.monotonic() + self.seconds

    def left(self) -> float:
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore2.TimeoutException
        return left


class _TimedStream(httpcore2.NetworkStream):
    """A connection on which every step ends with the exchange's deadline."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: within one call of `write` the limit holds for each packet, not for all of them.
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], self._deadline.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left())
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise Permanent(_distrust(server_hostname, error.__cause__)) from None
            raise
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _distrust(host: str | None, error: ssl.SSLCertVerificationError) -> str:
    return (
        f"the certificate of {host!r} is not trusted: {error.verify_message}; "
        "if an authority of your own has signed it, name that in the environment: SSL_CERT_FILE=PATH"
    )


class _CheckedBackend(httpcore2.SyncBackend):
    """Opens connections to addresses that were checked, and to no others."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _allowed(host, port)
        while True:
            address = addresses.pop(0)
            # Each address gets its share, so that one that swallows packets does not cost the others their turn.
            share = self._deadline.left() / (len(addresses) + 1)
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _TimedStream(stream, self._deadline)


def _allowed(host: str, port: int) -> list[str]:
    """The addresses of `host` that may be connected to: at least one, in the order the resolver prefers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ConnectionError(f"host {host!r} cannot be resolved: {error.strerror}") from None
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    reasons = {address: reason for address in addresses if (reason := refusal(address)) is not None}
    if len(reasons) == len(addresses):
        address, reason = next(iter(reasons.items()))
        raise Permanent(f"nothing is sent to host {host!r}: {address} is {reason}")
    return [address for address in addresses if address not in reasons]
