"""The protocol: one line goes to the collector, one line comes back. See `collector` for what they say.

The only place that knows it. With a client library this module would wrap it, and turn its errors into those that a
lane understands: `Retryable` for what may pass, `Permanent` for what will not.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from streamfan import Permanent, Retryable

if TYPE_CHECKING:
    from streamfan_example.options import ExampleOptions
    from streamfan_example.target import Address

_LONGEST_ANSWER = 1024


class Connection:
    """A connection to a collector that has accepted the token.

    Raises:
        OSError: The collector cannot be reached; a lane knows which of these may pass.
        Permanent: It refuses the token, or is no collector.
    """

    def __init__(self, address: Address, options: ExampleOptions) -> None:
        self._socket = socket.create_connection(address, timeout=options.timeout)
        self._answers = self._socket.makefile("rb")
        token = None if options.token is None else options.token.get_secret_value()
        try:
            self.ask(json.dumps({"type": "hello", "token": token}).encode())
        except BaseException:
            self.close()
            raise

    def ask(self, line: bytes) -> int:
        """Send a line; returns how many bytes the collector then holds of the stream that it is about.

        Raises:
            OSError: The connection is lost, and whether the line has arrived is not known.
            Retryable: The collector cannot take it now.
            Permanent: It never will.
        """
        self._socket.sendall(line + b"\n")
        answer = self._answers.readline(_LONGEST_ANSWER)
        if not answer.endswith(b"\n"):
            raise ConnectionResetError("the collector has hung up")
        return _understood(answer.decode(errors="replace").strip())

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()


def _understood(answer: str) -> int:
    match answer.split(" ", 2):
        case ["ok", held] if held.isdecimal():
            return int(held)
        case ["busy", seconds, why] if seconds.isdecimal():
            raise Retryable(f"the collector is busy: {why}", after=float(seconds))
        case ["no:", *why]:
            raise Permanent(f"the collector refuses: {' '.join(why)}")
    raise Permanent(f"this is no collector, it answers {answer!r}")
