"""One attempt at a stream in Redis: whose the stream is, its sign of life, and its log, over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.events import Start
from streamfan.sinks.redis.log import Log
from streamfan.sinks.redis.owner import Claim
from streamfan.sinks.redis.presence import Presence

if TYPE_CHECKING:
    from streamfan.events import End, Event, StreamInfo, Text
    from streamfan.redis.connection import Connection
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions
    from streamfan.sinks.redis.requests import Requests


class Producer:
    """The one writer of a stream, for as long as `connection` lives.

    Every method raises a `SinkError`: `Permanent` where another writer has taken over.

    Args:
        requests: Whom to tell what is asked of it.
    """

    def __init__(
        self, connection: Connection, names: Names, stream: StreamInfo, options: RedisOptions, requests: Requests
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._claim = Claim(connection, names, stream, options.lease)
        self._presence = Presence(connection, names, self._claim.owner, options, requests)
        self._log = Log(connection, names, self._claim, options, requests)

    @property
    def usable(self) -> bool:
        """Whether it was opened, and what was learnt then still holds."""
        return self._log.usable and self._connection.alive

    def open(self) -> Event:
        """Take the stream over from older attempts, and return the last event of this attempt: at least its start."""
        if not self._claim.made:
            # The claim of whoever has begun this attempt may have been lost.
            self._check_beginner()
            self._claim.make()
        # The lease is there before the log: a log with neither lease nor end is that of a producer that was lost.
        self.renew()
        return self._log.open(Start.of(self._stream))

    def append(self, event: Text | End) -> None:
        """Append `event`, once, and then publish it."""
        self._log.append(event)

    def renew(self) -> None:
        """Show that the producer lives, hear what is asked of it, and keep everything for as long as it does."""
        self._claim.check()
        self._presence.renew()

    def finish(self) -> None:
        """Stop to be there, after the end."""
        self._presence.end()

    def _check_beginner(self) -> None:
        writer = self._log.writer()
        if writer is not None and writer != self._stream.writer:
            raise self._claim.lost(self._stream.attempt, writer)
