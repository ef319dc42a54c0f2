"""Whether the server's replicas have what it has been given."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import Retryable

if TYPE_CHECKING:
    from streamfan.redis.connection import Connection

# Milliseconds that a server is asked to wait at a time: less than a connection waits for any answer.
_SLICE = 100


class Replicas:
    """As many replicas as must have something before it counts as delivered; none need be.

    Args:
        wanted: How many.
        timeout: Seconds to wait for them.
    """

    def __init__(self, wanted: int, timeout: float) -> None:
        self._wanted = wanted
        self._timeout = timeout
        self._impatient_until = 0.0

    def confirm(self, connection: Connection) -> None:
        """Return when enough replicas have all that was written over `connection`, and whatever came before that.

        Raises:
            Retryable: There were fewer, for as long as `timeout`.
        """
        if not self._wanted:
            return
        if monotonic() < self._impatient_until:
            # Whoever has waited in vain has waited for all: streams that go on must not miss their beats meanwhile.
            having = connection.command("WAIT", 0, _SLICE)
        else:
            having = self._wait(connection)
            self._impatient_until = 0.0 if having >= self._wanted else monotonic() + self._timeout
        if having < self._wanted:
            raise Retryable(
                f"Redis at {connection.address}: {having} of {self._wanted} replicas have the end of the stream"
            )

    def _wait(self, connection: Connection) -> int:
        until, having = monotonic() + self._timeout, -1
        while having < self._wanted and monotonic() < until:
            having = connection.command("WAIT", self._wanted, _SLICE)
        return having
