"""What shows that a stream's producer lives, and what is asked of it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.errors import WireError
from streamfan.redis.control import CancelRequest
from streamfan.redis.lease import Lease

if TYPE_CHECKING:
    from streamfan.redis.connection import Argument, Connection
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions
    from streamfan.sinks.redis.owner import Owner
    from streamfan.sinks.redis.requests import Requests

# The attempt key outlives the log by this: a writer that was away for so long takes over from nobody unnoticed.
_ATTEMPT_OUTLIVES = 24 * 3600.0


class Presence:
    """The lease of one attempt, and all that lasts as long as its producer lives."""

    def __init__(
        self, connection: Connection, names: Names, owner: Owner, options: RedisOptions, requests: Requests
    ) -> None:
        self._connection = connection
        self._names = names
        self._owner = owner
        self._options = options
        self._requests = requests

    def renew(self) -> None:
        """Show that the producer lives, hear what is asked of it, and keep everything for as long as it does."""
        control = self._options.control
        answers = self._connection.pipeline(
            ("SET", self._names.lease, self._lease, "PX", milliseconds(self._options.lease)),
            *self._expiries(self._options.ttl + self._options.lease),
            *([("GET", self._names.cancel)] if control else []),
        )
        if control:
            self._requests.hear(answers[-1])

    def end(self) -> None:
        """Give the lease back, and drop what was asked of this attempt; the rest is kept for `ttl` from now."""
        names = self._names
        lease, request, *_ = self._connection.pipeline(
            ("GET", names.lease), ("GET", names.cancel), *self._expiries(self._options.ttl)
        )
        answered = [names.lease] if self._is_ours(lease) else []
        answered += [names.cancel] if self._is_past(request) else []
        if answered:
            self._connection.command("DEL", *answered)

    @property
    def _lease(self) -> bytes:
        attempt, writer = self._owner
        options = self._options
        return Lease(
            attempt=attempt, writer=writer, seconds=options.lease, control=options.heard, live=options.mode != "log"
        ).encode()

    def _is_ours(self, lease: bytes | None) -> bool:
        try:
            held = None if lease is None else Lease.decode(lease)
        except WireError:
            return False
        return held is not None and (held.attempt, held.writer) == self._owner

    def _is_past(self, request: bytes | None) -> bool:
        try:
            return request is not None and CancelRequest.decode(request).attempt <= self._owner.attempt
        except WireError:
            # Nobody will ever be able to answer it.
            return True

    def _expiries(self, seconds: float) -> tuple[tuple[Argument, ...], ...]:
        return (
            ("PEXPIRE", self._names.log, milliseconds(seconds)),
            ("PEXPIRE", self._names.attempt, milliseconds(seconds + _ATTEMPT_OUTLIVES)),
        )


def milliseconds(seconds: float) -> int:
    """As Redis takes a time."""
    return int(seconds * 1000)
