"""Connections to addresses that were checked, on which every step ends with the exchange's deadline.

A host's name is resolved, every address checked, and a checked address connected to, so there is no moment in between
for the answer to change.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpcore2

from streamfan.errors import Permanent
from streamfan.sinks.webhook.addresses import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

_PIECE = 16 * 1024
# In what a server's TLS says when it does not take our certificate, or misses one.
_REFUSES_US = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")


class Deadline:
    """When the exchange under way must be over, and when its connection must be there.

    httpcore2 limits each step, and a server that sends a byte now and then passes every step.

    Args:
        seconds: How long an exchange may take.
        connect_seconds: How much of that connecting may take.
    """

    def __init__(self, seconds: float, connect_seconds: float) -> None:
        self.seconds = seconds
        self.connect_seconds = min(seconds, connect_seconds)
        self._at = self._connected_at = 0.0

    def start(self) -> None:
        """An exchange begins."""
        self._at = time.monotonic() + self.seconds

    def start_connecting(self) -> None:
        """A connection is begun."""
        self._connected_at = min(self._at, time.monotonic() + self.connect_seconds)

    def left(self) -> float:
        """Seconds that the exchange still has.

        Raises:
            httpcore2.TimeoutException: None are left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore2.TimeoutException
        return left

    def left_to_connect(self) -> float:
        """Seconds that connecting still has.

        Raises:
            httpcore2.ConnectTimeout: None are left.
        """
        left = self._connected_at - time.monotonic()
        if left <= 0:
            raise httpcore2.ConnectTimeout
        return left


class CheckedBackend(httpcore2.SyncBackend):
    """Opens connections to addresses that were checked, and to no others.

    Args:
        public_only: Refuse every address that is not public.
    """

    def __init__(self, deadline: Deadline, *, public_only: bool) -> None:
        self._deadline = deadline
        self._public_only = public_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of `host` that may be, and can be, connected to."""
        self._deadline.start_connecting()
        addresses = _allowed(host, port, public_only=self._public_only)
        while True:
            address = addresses.pop(0)
            # Each address gets its share, so that one that swallows packets does not cost the others their turn.
            share = self._deadline.left_to_connect() / (len(addresses) + 1)
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _TimedStream(stream, self._deadline)


class _TimedStream(httpcore2.NetworkStream):
    """A connection on which every step ends with the exchange's deadline."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._inner.read(max_bytes, self._deadline.left())
        except httpcore2.ReadError as error:
            # In TLS 1.3 the handshake is over by the time that the server has looked at our certificate.
            _raise_if_refused(error)
            raise

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
            secured = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left_to_connect())
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise Permanent(_distrust(server_hostname, error.__cause__)) from None
            _raise_if_refused(error)
            raise
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _distrust(host: str | None, error: ssl.SSLCertVerificationError) -> str:
    return (
        f"the certificate of {host!r} is not trusted: {error.verify_message}; "
        "if an authority of your own has signed it, name its file in the option ca_file"
    )


def _raise_if_refused(error: httpcore2.NetworkError) -> None:
    """Raise Permanent if it is the other side's TLS that has ended the connection, because of who we are."""
    reason = error.__cause__.reason if isinstance(error.__cause__, ssl.SSLError) else None
    if reason and "ALERT" in reason and any(word in reason for word in _REFUSES_US):
        raise Permanent(f"the receiver does not take our certificate, option client_cert: {error}") from None


def _allowed(host: str, port: int, *, public_only: bool) -> list[str]:
    """The addresses of `host` that may be connected to: at least one, in the order the resolver prefers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ConnectionError(f"host {host!r} cannot be resolved: {error.strerror}") from None
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    reasons = {
        address: reason for address in addresses if (reason := refusal(address, public_only=public_only)) is not None
    }
    if len(reasons) == len(addresses):
        address, reason = next(iter(reasons.items()))
        raise Permanent(f"nothing is sent to host {host!r}: {address} is {reason}")
    return [address for address in addresses if address not in reasons]
