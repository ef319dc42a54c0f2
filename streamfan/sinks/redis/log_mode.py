"""Streams that are kept in Redis, for readers that come late, miss something, or come back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from streamfan.errors import Permanent, Retryable
from streamfan.events import Text
from streamfan.redis.batch import Batch
from streamfan.redis.entries import held
from streamfan.redis.errors import Refused
from streamfan.redis.names import Names
from streamfan.sinks.redis.heartbeats import Heartbeats
from streamfan.sinks.redis.index import Index
from streamfan.sinks.redis.preflight import Preflight
from streamfan.sinks.redis.presence import Presence
from streamfan.sinks.redis.producer import Producer
from streamfan.sinks.redis.replicas import Replicas

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.sinks.redis.link import Link
    from streamfan.sinks.redis.options import RedisOptions

T = TypeVar("T")

# How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
# longest is forgotten; if it does come back, its text is sent again from the start, and what the log has is not stored
# twice.
_REMEMBERED = 16_384


@dataclass(slots=True)
class _Known:
    """What outlives a stream's connections: its sign of life, and how much of the text was ever sent.

    Attributes:
        found: How much of the text the log had when it was opened, where that is more than was sent.
    """

    presence: Presence
    sent: int = 0
    found: int = 0
    producer: Producer | None = None


class LogMode:
    """All streams of one sink, each as a log; exactly once."""

    def __init__(self, link: Link, options: RedisOptions) -> None:
        self._link = link
        self._options = options
        self._index = Index(options.prefix, link)
        self._replicas = Replicas(options.wait_replicas, options.wait_timeout)
        self._streams: OrderedDict[tuple[str, int], _Known] = OrderedDict()
        self._heartbeats = Heartbeats(
            link, options.heartbeat, lambda: [known.presence for known in self._streams.values()], self._index
        )

    def check(self) -> None:
        """Find out whether streams can be kept: server and user are asked for all that will be needed of them."""
        preflight = Preflight(self._options)
        try:
            preflight.keeping.send(self._link.reach(preflight.key))
            # In a cluster it is at another server.
            preflight.listing.send(self._link.reach(self._index.key))
        except Refused as error:
            raise Permanent(
                f"{error}\nWhat is needed: Redis 6.2 or later, and a user who may do all that docs/redis.md lists"
            ) from None
        if self._options.mode == "both":
            preflight.check_channels(self._link.reach(preflight.key))

    def open(self, stream: StreamInfo) -> int:
        """Take the stream over, and say how much of its text is there."""
        self._heartbeats.keep_up()
        known = self._remember(stream)
        names = Names(self._options.prefix, stream.id)
        connection = self._link.reach(names.log)
        known.producer = producer = Producer(connection, names, stream, known.presence, self._options)
        announced = stream.attempt if self._options.mode == "both" else None
        last = self._list(self._index.listing(stream.id, stream.time, announced), producer.open, producer)
        there = held(last)
        # More than was sent from here was brought by another sink that has the same server, or by a program that has
        # died: all of it is compared.
        known.found = there if there > known.sent else 0
        return 0 if known.found else there

    def write(self, chunk: Chunk) -> None:
        """Append a chunk."""
        self._heartbeats.keep_up()
        known = self._remember(chunk.stream)
        producer = known.producer
        if producer is None or not producer.usable:
            raise Retryable(f"Redis at {self._link.address}: the connection was lost")
        known.sent = max(known.sent, chunk.end)
        text = Text.of(chunk, token_ids=self._options.token_ids)
        if text.offset < known.found < text.end:
            text = producer.rest_of(text, known.found)
        producer.append(text)

    def beat(self, stream: StreamInfo) -> None:
        """Renew the lease, over a new connection if need be: the stream is still opened again before a write."""
        self._heartbeats.beat(self._remember(stream).presence)

    def close(self, stream: StreamInfo, end: End) -> None:
        """Append the end, and return once as many replicas as are wanted have it."""
        self._heartbeats.keep_up()
        # A stream that was given up is closed without being opened again.
        there = end.offset if self._opened(stream) else self.open(stream)
        if end.complete and there < end.offset:
            raise Retryable(
                f"Redis at {self._link.address}: holds {there} of {end.offset} bytes of stream {stream.id!r}"
            )
        producer = self._opened(stream)
        assert producer is not None, "it has just been opened"
        event = end if self._options.token_ids else replace(end, token_ids=())
        self._list(self._index.listing(stream.id, end.time), partial(producer.close, event), producer)
        # Last: they are waited for up to what this connection has written last, which may not have been the end.
        self._replicas.confirm(self._link.reach(Names(self._options.prefix, stream.id).log))
        del self._streams[stream.id, stream.attempt]

    def _opened(self, stream: StreamInfo) -> Producer | None:
        known = self._streams.get((stream.id, stream.attempt))
        return known.producer if known is not None and known.producer is not None and known.producer.usable else None

    def _remember(self, stream: StreamInfo) -> _Known:
        key = (stream.id, stream.attempt)
        known = self._streams[key] = self._streams.get(key) or _Known(self._presence(stream))
        self._streams.move_to_end(key)
        if len(self._streams) > _REMEMBERED:
            self._streams.popitem(last=False)
        return known

    def _presence(self, stream: StreamInfo) -> Presence:
        return Presence(Names(self._options.prefix, stream.id), stream, self._options)

    def _list(self, listing: Batch, call: Callable[[Batch], T], producer: Producer) -> T:
        """Have the stream listed in the index by `call`, or after it."""
        connection = self._link.reach(self._index.key)
        if connection is producer.connection:
            return call(listing)
        # In a cluster it is at another server, and nothing is lost if that takes it twice.
        result = call(Batch())
        listing.send(connection)
        return result
