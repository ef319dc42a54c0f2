"""Streams that are published and not kept, for subscribers that there are already.

At most once: what may have been published is never published again, and text of which that is not known is lost. So
before it is sent, it is made sure as far as can be that somebody listens at the other end of the connection.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.events import Start, Text, encode
from streamfan.redis.errors import Unreachable
from streamfan.redis.names import Names

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.redis.connection import Connection
    from streamfan.sinks.redis.link import Link
    from streamfan.sinks.redis.options import RedisOptions

log = logging.getLogger("streamfan.sinks.redis")

# Seconds without an answer after which a connection may be dead without a word.
_QUIET = 1.0
# How many streams at most are remembered; of one that comes back it is not known how far it was.
_REMEMBERED = 16_384


class PubSubMode:
    """All streams of one sink, published on their channels and kept nowhere."""

    def __init__(self, link: Link, options: RedisOptions) -> None:
        self._link = link
        self._options = options
        # How far each has come: bytes that were published for certain, or None while that is not known.
        self._positions: OrderedDict[tuple[str, int], int | None] = OrderedDict()
        self._answered_at = 0.0

    def check(self) -> None:
        """Find out whether somebody answers; more cannot be known without publishing something."""
        self._listening()

    def open(self, stream: StreamInfo) -> int | None:
        """Publish the start, once; say where to go on, or None where that is not known."""
        connection = self._listening()
        key = (stream.id, stream.attempt)
        if key not in self._positions:
            if self._options.format == "json":
                self._begin(connection, stream)
            self._note(key, None)
        return self._positions[key]

    def write(self, chunk: Chunk) -> None:
        """Publish a chunk, once."""
        key = (chunk.stream.id, chunk.stream.attempt)
        self._note(key, chunk.offset)
        connection = self._listening()
        try:
            self._publish(connection, chunk.stream, self._message(chunk))
        except Unreachable:
            self._note(key, None)
            raise
        self._note(key, chunk.end)

    def beat(self, stream: StreamInfo) -> None:
        """Nothing: who only listens to a channel knows of no lease."""

    def close(self, stream: StreamInfo, end: End) -> None:
        """Publish the end, once; where that is in doubt, the stream has failed here."""
        if self._options.format == "json":
            self._finish(self._listening(), stream, end)
        self._positions.pop((stream.id, stream.attempt), None)

    def _begin(self, connection: Connection, stream: StreamInfo) -> None:
        try:
            self._publish(connection, stream, encode(Start.of(stream)))
        except Unreachable as error:
            # No text is lost by it, and subscribers that come later do not see it either.
            log.warning("stream %r: its start may not have been published: %s", stream.id, error)

    def _finish(self, connection: Connection, stream: StreamInfo, end: End) -> None:
        try:
            self._publish(connection, stream, encode(end if self._options.token_ids else replace(end, token_ids=())))
        except Unreachable as error:
            raise Permanent(f"{error}: the end may not have been published, and it is not sent twice") from None

    def _message(self, chunk: Chunk) -> bytes:
        if self._options.format == "text":
            return chunk.data
        return encode(Text.of(chunk, token_ids=self._options.token_ids))

    def _listening(self) -> Connection:
        """A connection over which the server has just answered; in a cluster any will do, and PUBLISH goes to all."""
        connection = self._link.reach(self._options.prefix)
        if monotonic() - self._answered_at > _QUIET:
            try:
                connection.command("PING")
            except Unreachable:
                connection = self._link.reach(self._options.prefix)
            self._answered_at = monotonic()
        return connection

    def _publish(self, connection: Connection, stream: StreamInfo, data: bytes) -> None:
        connection.command("PUBLISH", self._channel(stream.id), data)
        self._answered_at = monotonic()

    def _channel(self, id: str) -> str:
        channel = self._options.channel
        return Names(self._options.prefix, id).live if channel is None else channel.replace("{stream}", id)

    def _note(self, key: tuple[str, int], position: int | None) -> None:
        self._positions[key] = position
        self._positions.move_to_end(key)
        if len(self._positions) > _REMEMBERED:
            self._positions.popitem(last=False)
