"""One URL that is posted to, over one connection that is kept.

This speaks to httpcore2, the layer below httpx2's client, because the client logs whole URLs, keeps cookies, and gives
no say in which address a host name is connected to. `Host` and the TLS server name are those of the URL. Redirects,
proxies and retries are left out by not being there.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpcore2
import httpx2

from streamfan.errors import ConfigError
from streamfan.sinks.webhook.answers import Answer
from streamfan.sinks.webhook.network import CheckedBackend, Deadline
from streamfan.sinks.webhook.tls import trusting
from streamfan.sinks.webhook.urls import refused

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from streamfan.sinks.webhook.options import WebhookOptions

_EXCERPT = 2 * 1024
# Read on this far for the sake of the connection, which can be kept only when the whole body has been read.
_DRAINED = 64 * 1024
# Below what load balancers allow an idle connection; a server that closes it sooner is noticed before it is used.
_IDLE_SECONDS = 30.0


class Endpoint:
    """A URL and the connection to it; for one thread at a time.

    Args:
        url: An http or https URL without user name and fragment.
        shown: What errors call it.
        options: How long an exchange may take, whom to trust, and where nothing may be sent. Resolving the host's
            name is not interrupted by a timeout: the system's resolver has limits of its own.

    Raises:
        SpecError: The host is no host name by the rules for international ones.
        ConfigError: There are no certificates to trust where the environment says there are.
    """

    def __init__(self, url: str, *, shown: str, options: WebhookOptions) -> None:
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise refused("has a host that cannot be read") from None
        self._url = httpcore2.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
        )
        self._host = parsed.netloc
        self._shown = shown
        self._deadline = Deadline(options.timeout, options.connect_timeout)
        self._tls = _context(options) if parsed.scheme == "https" else None
        self._backend = CheckedBackend(self._deadline, public_only=options.public_only)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=self._tls, max_connections=1, keepalive_expiry=_IDLE_SECONDS, network_backend=self._backend
        )

    def probe(self) -> None:
        """Connect, up to the end of the TLS handshake where there is one, and hang up; nothing is sent.

        Raises:
            TimeoutError: It took longer than it may.
            ConnectionError: There is no connection to be had now.
            Permanent: The address is one that nothing is sent to, or one side does not trust the other's certificate.
        """
        host = self._url.host.decode("ascii")
        with self._exchange():
            stream = self._backend.connect_tcp(host, self._url.origin.port)
            try:
                if self._tls is not None:
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
        except httpcore2.ConnectTimeout:
            raise TimeoutError(f"{self._shown}: no connection within {self._deadline.connect_seconds:g} s") from None
        except httpcore2.TimeoutException:
            raise TimeoutError(f"{self._shown} did not answer within {self._deadline.seconds:g} s") from None
        except httpcore2.NetworkError as error:
            raise ConnectionError(f"{self._shown}: {error}") from None
        except httpcore2.RemoteProtocolError as error:
            # What the library quotes of the answer may be what was sent, with its secrets.
            what, quotes, _ = str(error).partition(": bytearray(")
            raise ConnectionError(f"{self._shown}: {what}{', so it is no HTTP' if quotes else ''}") from None


def _context(options: WebhookOptions) -> ssl.SSLContext:
    try:
        context = trusting(options.ca_file) if options.ca_file else httpcore2.default_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"sink 'webhook': the certificates to trust cannot be loaded: {error.strerror}\n"
            "Try: look at SSL_CERT_FILE and SSL_CERT_DIR in the environment, or give the option ca_file"
        ) from None
    if options.identity is not None:
        options.identity.take_in(context)
    return context


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
