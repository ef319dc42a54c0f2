"""Ports of the loopback address, the only one that embedded servers listen on."""

from __future__ import annotations

import socket

from streamfan.errors import Permanent

HOST = "127.0.0.1"


def free_port() -> int:
    """One that nobody listens on now; somebody else may be quicker to take it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require(port: int) -> None:
    """Make sure that a server can listen on `port`.

    Raises:
        Permanent: Somebody listens there already, or this user may not.
    """
    with socket.socket() as probe:
        # As servers do: connections that are over, but not yet forgotten, are in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise unavailable(port, error) from None


def unavailable(port: int, error: OSError) -> Permanent:
    """The error that says so."""
    return Permanent(f"cannot listen on {HOST}:{port}: {error.strerror}")
