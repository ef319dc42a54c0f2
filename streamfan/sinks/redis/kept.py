"""Streams that are kept in Redis, for readers that come late, miss something, or come back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable
from streamfan.events import Text
from streamfan.redis.connection import Refused
from streamfan.redis.names import Names, index
from streamfan.sinks.redis.log import held
from streamfan.sinks.redis.producer import Producer
from streamfan.sinks.redis.replicas import Replicas
from streamfan.sinks.redis.requests import Requests

if TYPE_CHECKING:
    from datetime import datetime

    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.redis.connection import Argument
    from streamfan.sinks.redis.link import Link
    from streamfan.sinks.redis.options import RedisOptions

_INDEX_LENGTH = 1000
# How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
# longest is forgotten; if it does come back, its text is sent again from the start, and what the log has is not stored
# twice.
_REMEMBERED = 16_384


class Kept:
    """All streams of one sink, each as a log; exactly once."""

    def __init__(self, link: Link, options: RedisOptions) -> None:
        self._link = link
        self._options = options
        self._replicas = Replicas(options.wait_replicas, options.wait_timeout)
        self._producers: OrderedDict[tuple[str, int], Producer] = OrderedDict()

    def rehearse(self) -> None:
        """Find out whether streams can be kept: needs of server and user what every event needs."""
        # Stores nothing, for there is no such log.
        append = ("XADD", Names(self._options.prefix, "").log, "NOMKSTREAM", "*", "event", "")
        wait = [("WAIT", 0, 1)] if self._options.wait_replicas else []
        try:
            self._link.reach().pipeline(append, *wait)
        except Refused as error:
            raise Permanent(f"{error}\nWhat is needed: Redis 6.2 or later, and a user who may write") from None

    def open(self, stream: StreamInfo) -> int:
        """Take the stream over, and say how much of its text is there."""
        key = (stream.id, stream.attempt)
        again = key in self._producers
        self._producers[key] = producer = self._producer(stream)
        self._producers.move_to_end(key)
        if len(self._producers) > _REMEMBERED:
            self._producers.popitem(last=False)
        last = producer.open()
        self._list(stream, stream.time, announced=self._options.mode == "both")
        # What is there before this sink has sent anything was brought by another one that has the same server.
        return held(last) if again else 0

    def write(self, chunk: Chunk) -> None:
        """Append a chunk."""
        producer = self._opened(chunk.stream)
        if producer is None:
            raise Retryable(f"Redis at {self._link.address}: the connection was lost")
        producer.append(Text.of(chunk, token_ids=self._options.token_ids))

    def beat(self, stream: StreamInfo) -> None:
        """Renew the lease, over a new connection if need be: the stream is still opened again before a write."""
        self._producer(stream).renew()

    def close(self, stream: StreamInfo, end: End) -> None:
        """Append the end, and return once as many replicas as are wanted have it."""
        # A stream that was given up is closed without being opened again.
        there = end.offset if self._opened(stream) else self.open(stream)
        if end.complete and there < end.offset:
            raise Retryable(
                f"Redis at {self._link.address}: holds {there} of {end.offset} bytes of stream {stream.id!r}"
            )
        producer = self._producers[stream.id, stream.attempt]
        producer.append(end if self._options.token_ids else replace(end, token_ids=()))
        producer.finish()
        # Last: replicas are waited for up to what this connection has written last, and the end may be older than it.
        self._list(stream, end.time)
        self._replicas.confirm(self._link.reach())
        del self._producers[stream.id, stream.attempt]

    def _producer(self, stream: StreamInfo) -> Producer:
        known = self._producers.get((stream.id, stream.attempt))
        requests = Requests(stream, self._options.token) if known is None else known.requests
        return Producer(self._link.reach(), Names(self._options.prefix, stream.id), stream, self._options, requests)

    def _opened(self, stream: StreamInfo) -> Producer | None:
        key = (stream.id, stream.attempt)
        if key not in self._producers:
            return None
        self._producers.move_to_end(key)
        return self._producers[key] if self._producers[key].usable else None

    def _list(self, stream: StreamInfo, time: datetime, *, announced: bool = False) -> None:
        key = index(self._options.prefix)
        commands: list[tuple[Argument, ...]] = [
            ("ZADD", key, int(time.timestamp() * 1000), stream.id),
            ("ZREMRANGEBYRANK", key, 0, -_INDEX_LENGTH - 1),
        ]
        if announced:
            # Whoever hears of it finds it in the index.
            commands.append(("PUBLISH", key, stream.id))
        self._link.reach().pipeline(*commands)
