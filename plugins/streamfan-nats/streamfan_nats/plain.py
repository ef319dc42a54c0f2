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

from streamfan import End, Permanent, Start, Text
from streamfan.events import encode
from streamfan_nats.errors import Unreachable
from streamfan_nats.subjects import subject_of

if TYPE_CHECKING:
    from streamfan import Chunk, StreamInfo
    from streamfan_nats.connection import Connection
    from streamfan_nats.link import Link
    from streamfan_nats.options import NatsOptions

log = logging.getLogger("streamfan.sinks.nats")

# Seconds without an answer after which a connection may be dead without a word.
_QUIET = 1.0
# How many streams at most are remembered; of one that comes back it is not known how far it was.
_REMEMBERED = 16_384


class Plain:
    """All streams of one sink, published on their subjects and kept nowhere."""

    def __init__(self, link: Link, options: NatsOptions) -> None:
        self._link = link
        self._options = options
        # How far each has come: bytes that were published for certain, or None while that is not known.
        self._positions: OrderedDict[tuple[str, int], int | None] = OrderedDict()
        self._answered_at = 0.0

    async def rehearse(self) -> None:
        """Find out whether somebody answers; more cannot be known without publishing something."""
        await self._listening()

    async def open(self, stream: StreamInfo) -> int | None:
        """Publish the start, once; say where to go on, or None where that is not known."""
        connection = await self._listening()
        key = (stream.id, stream.attempt)
        if key not in self._positions:
            # Before it is sent, for it is sent once. What was published of a stream that was forgotten is not known.
            self._note(key, None)
            try:
                await self._publish(connection, stream, Start.of(stream))
            except Unreachable as error:
                # No text is lost by it, and subscribers that come later do not see it either.
                log.warning("stream %r: its start may not have been published: %s", stream.id, error)
        return self._positions[key]

    async def write(self, chunk: Chunk) -> None:
        """Publish a chunk, once."""
        key = (chunk.stream.id, chunk.stream.attempt)
        self._note(key, chunk.offset)
        connection = await self._listening()
        self._note(key, None)
        await self._publish(connection, chunk.stream, Text.of(chunk, token_ids=self._options.token_ids))
        self._note(key, chunk.end)

    async def close(self, stream: StreamInfo, end: End) -> None:
        """Publish the end, once; where that is in doubt, the stream has failed here."""
        connection = await self._listening()
        try:
            await self._publish(connection, stream, end if self._options.token_ids else replace(end, token_ids=()))
        except Unreachable as error:
            raise Permanent(f"{error}: the end may not have been published, and it is not sent twice") from None
        self._positions.pop((stream.id, stream.attempt), None)

    async def _listening(self) -> Connection:
        """A connection over which the server has just answered."""
        connection = await self._link.reach()
        if monotonic() - self._answered_at > _QUIET:
            try:
                await connection.answer(connection.client.flush())
            except Unreachable:
                connection = await self._link.reach()
            self._answered_at = monotonic()
        return connection

    async def _publish(self, connection: Connection, stream: StreamInfo, event: Start | Text | End) -> None:
        subject = subject_of(self._options.prefix, stream.id)

        async def confirmed() -> None:
            await connection.client.publish(subject, encode(event))
            # The server answers in order: its PONG says that it has taken the event too.
            await connection.client.flush()

        await connection.answer(confirmed())
        self._answered_at = monotonic()

    def _note(self, key: tuple[str, int], position: int | None) -> None:
        self._positions[key] = position
        self._positions.move_to_end(key)
        if len(self._positions) > _REMEMBERED:
            self._positions.popitem(last=False)
