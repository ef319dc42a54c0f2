"""Streams that are kept in Redis, for readers that come late, miss something, or come back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable
from streamfan.events import Text
from streamfan.redis.entries import held
from streamfan.redis.errors import Refused
from streamfan.redis.names import Names, index
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
# The first channel that the user may not publish on. A server before 7.0 cannot say, and forbids none unless told to.
_FORBIDDEN = """
for _, channel in ipairs(ARGV) do
  if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', channel, '') then return channel end
end
return false
"""
# How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
# longest is forgotten; if it does come back, its text is sent again from the start, and what the log has is not stored
# twice.
_REMEMBERED = 16_384


@dataclass(slots=True)
class _Known:
    """What outlives a stream's connections: who is told of requests, and how much of the text was ever sent."""

    requests: Requests
    sent: int = 0
    producer: Producer | None = None


class Kept:
    """All streams of one sink, each as a log; exactly once."""

    def __init__(self, link: Link, options: RedisOptions) -> None:
        self._link = link
        self._options = options
        self._replicas = Replicas(options.wait_replicas, options.wait_timeout)
        self._streams: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    def rehearse(self) -> None:
        """Find out whether streams can be kept: needs of server and user what every event needs."""
        # Stores nothing, for there is no such log.
        names = Names(self._options.prefix, "")
        append = ("XADD", names.log, "NOMKSTREAM", "*", "event", "")
        wait = [("WAIT", 0, 1)] if self._options.wait_replicas else []
        try:
            self._link.reach(names.log).pipeline(append, *wait)
        except Refused as error:
            raise Permanent(f"{error}\nWhat is needed: Redis 6.2 or later, and a user who may write") from None
        if self._options.mode == "both":
            self._may_publish(names)

    def open(self, stream: StreamInfo) -> int:
        """Take the stream over, and say how much of its text is there."""
        known = self._remember(stream)
        known.producer = producer = self._producer(stream)
        last = producer.open()
        self._list(stream, stream.time, announced=self._options.mode == "both")
        # More than was sent from here was brought by another sink that has the same server.
        return min(held(last), known.sent)

    def write(self, chunk: Chunk) -> None:
        """Append a chunk."""
        producer = self._opened(chunk.stream)
        if producer is None:
            raise Retryable(f"Redis at {self._link.address}: the connection was lost")
        known = self._remember(chunk.stream)
        known.sent = max(known.sent, chunk.end)
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
        producer = self._opened(stream)
        assert producer is not None, "it has just been opened"
        producer.append(end if self._options.token_ids else replace(end, token_ids=()))
        producer.finish()
        self._list(stream, end.time)
        # Last: they are waited for up to what this connection has written last, which may not have been the end.
        self._replicas.confirm(self._link.reach(Names(self._options.prefix, stream.id).log))
        del self._streams[stream.id, stream.attempt]

    def _may_publish(self, names: Names) -> None:
        connection = self._link.reach(names.log)
        channels = (names.live, index(self._options.prefix))
        forbidden = connection.command("EVAL", _FORBIDDEN, 0, *channels) if connection.scripts else None
        if forbidden is not None:
            raise Permanent(
                f"Redis at {connection.address}: the user may not publish on channel {forbidden.decode()!r}\n"
                f"Try: ACL SETUSER NAME &{self._options.prefix}:*, or the option mode=log"
            )

    def _producer(self, stream: StreamInfo) -> Producer:
        known = self._streams.get((stream.id, stream.attempt))
        requests = self._requests(stream) if known is None else known.requests
        names = Names(self._options.prefix, stream.id)
        return Producer(self._link.reach(names.log), names, stream, self._options, requests)

    def _requests(self, stream: StreamInfo) -> Requests:
        return Requests(stream, self._options.token)

    def _opened(self, stream: StreamInfo) -> Producer | None:
        known = self._streams.get((stream.id, stream.attempt))
        return known.producer if known is not None and known.producer is not None and known.producer.usable else None

    def _remember(self, stream: StreamInfo) -> _Known:
        key = (stream.id, stream.attempt)
        known = self._streams[key] = self._streams.get(key) or _Known(self._requests(stream))
        self._streams.move_to_end(key)
        if len(self._streams) > _REMEMBERED:
            self._streams.popitem(last=False)
        return known

    def _list(self, stream: StreamInfo, time: datetime, *, announced: bool = False) -> None:
        key = index(self._options.prefix)
        # In a cluster it is at another server, and nothing is lost if that takes it twice.
        connection = self._link.reach(key)
        commands: list[tuple[Argument, ...]] = [
            ("ZADD", key, int(time.timestamp() * 1000), stream.id),
            ("ZREMRANGEBYRANK", key, 0, -_INDEX_LENGTH - 1),
        ]
        if announced:
            # Whoever hears of it finds it in the index.
            commands.append((connection.publish, key, f"{stream.id} {stream.attempt}"))
        connection.pipeline(*commands)
