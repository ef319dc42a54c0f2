"""The `redis` sink: a stream's whole history and its live text, for readers in other programs and other languages.

Each event is appended to a log and then published on a channel, so a reader that joins late, or missed something, finds
in the log what it was not told. Exactly once: `open` reads how much of the text the log holds.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from streamfan import embedded
from streamfan.errors import MissingExtra, Permanent, Retryable
from streamfan.events import Text
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions, Seconds, Secret
from streamfan.redis.address import Address
from streamfan.redis.connection import Connection, NotRedis, Refused, Unreachable
from streamfan.redis.names import Names, index
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.redis.log import Limits, Log, held

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from streamfan.events import Chunk, End, StreamInfo

_LOCAL = "redis://localhost:6379/0"
# On this machine a server answers at once, or it is none.
_LOCAL_TIMEOUT = 1.0
# A try to connect that takes longer than this is followed by a rest as long as it took.
_SLOW = 0.5
_INDEX_LENGTH = 1000
_HEARTBEAT = 5.0
# How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
# longest is forgotten; if it does come back, its text is sent again from the start, and what the log has is not stored
# twice.
_REMEMBERED = 16_384


class RedisOptions(SinkOptions):
    """The options of the `redis` sink."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]+$")] = Field("streamfan", description="What every key begins with.")
    username: str | None = Field(None, description="The user to log in as, instead of the URL's.")
    password: Secret | None = Field(None, description="The password to log in with, instead of the URL's.")
    ttl: Annotated[Seconds, Field(ge=1)] = Field(24 * 3600.0, description="How long a stream is kept after its end.")
    lease: Annotated[Seconds, Field(ge=3 * _HEARTBEAT)] = Field(
        20.0, description="How long after its last sign of life the producer counts as lost."
    )
    history: Annotated[int, Field(ge=100)] = Field(
        100_000, description="About how many events of a stream are kept; older ones are forgotten first."
    )
    token_ids: bool = Field(True, description="Write the token ids beside the text.")


class RedisSink(Sink):
    """Keeps each stream as a log in Redis and publishes it live, for readers anywhere.

    The target is a URL. Without one it is `$REDIS_URL`, else localhost:6379 if a Redis answers there, else a server
    that is started for development and ends with this program.
    """

    name = "redis"
    aliases = ("rediss", "unix")
    Options = RedisOptions
    delivery = Delivery.EXACTLY_ONCE
    heartbeat = _HEARTBEAT
    lane_defaults = LaneOptions(linger=0.010)

    options: RedisOptions

    def __init__(self, target: str | None = None, options: RedisOptions | None = None) -> None:
        super().__init__(target, options)
        self._address = _address(target)
        self._connection: Connection | None = None
        self._logs: OrderedDict[tuple[str, int], Log] = OrderedDict()
        self._resting_until = 0.0
        self._why = ""

    @property
    def label(self) -> str | None:
        return None if self._address is None else str(self._address)

    def connect(self) -> None:
        try:
            import redis  # noqa: F401 - only whether it is there
        except ImportError:
            raise MissingExtra("sink 'redis'", "redis", "redis") from None
        if self._address is None:
            self._address = self._find()
        # Stores nothing, for there is no such log; what it needs of server and user is needed for every event.
        rehearsal = ("XADD", Names(self.options.prefix, "").log, "NOMKSTREAM", "*", "event", "")
        try:
            self._reach().command(*rehearsal)
        except Refused as error:
            raise Permanent(f"{error}\nWhat is needed: Redis 6.2 or later, and a user who may write") from None

    def open(self, stream: StreamInfo) -> int:
        key = (stream.id, stream.attempt)
        again = key in self._logs
        self._logs[key] = log = self._log(stream)
        self._logs.move_to_end(key)
        if len(self._logs) > _REMEMBERED:
            self._logs.popitem(last=False)
        last = log.open()
        self._list(stream, stream.time)
        # What is there before this sink has sent anything was brought by another one that has the same server.
        return held(last) if again else 0

    def write(self, chunk: Chunk) -> None:
        log = self._opened(chunk.stream)
        if log is None:
            raise Retryable(f"Redis at {self._address}: the connection was lost")
        log.append(Text.of(chunk, token_ids=self.options.token_ids))

    def beat(self, stream: StreamInfo) -> None:
        # Over a new connection if need be: the stream is then still opened again before the next write.
        self._log(stream).renew()

    def close(self, stream: StreamInfo, end: End) -> None:
        # A stream that was given up is closed without being opened again.
        there = end.offset if self._opened(stream) else self.open(stream)
        if end.complete and there < end.offset:
            raise Retryable(f"Redis at {self._address}: holds {there} of {end.offset} bytes of stream {stream.id!r}")
        log = self._logs[stream.id, stream.attempt]
        log.append(end if self.options.token_ids else replace(end, token_ids=()))
        log.finish()
        self._list(stream, end.time)
        del self._logs[stream.id, stream.attempt]

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _find(self) -> Address:
        local = Address(_LOCAL)
        try:
            Connection(local, self._credentials, timeout=_LOCAL_TIMEOUT).close()
        except (Unreachable, NotRedis):
            # Who gives a password means a server that there is.
            return local if self._credentials else Address(embedded.shared().url, "embedded")
        return local

    def _reach(self) -> Connection:
        """The connection; a new one if the last has broken."""
        assert self._address is not None, "a lane connects before it opens"
        if self._connection is None or not self._connection.alive:
            begun = monotonic()
            if begun < self._resting_until:
                raise Retryable(self._why, after=self._resting_until - begun)
            try:
                self._connection = Connection(self._address, self._credentials)
            except Retryable as error:
                # One try that has timed out speaks for all streams: a thousand do not wait one after the other.
                spent = monotonic() - begun
                self._resting_until, self._why = begun + (2 * spent if spent > _SLOW else 0.0), str(error)
                raise
        return self._connection

    @property
    def _credentials(self) -> dict[str, str]:
        username, password = self.options.username, self.options.password
        return {
            **({} if username is None else {"username": username}),
            **({} if password is None else {"password": password.get_secret_value()}),
        }

    def _log(self, stream: StreamInfo) -> Log:
        limits = Limits(self.options.history, self.options.ttl, self.options.lease)
        return Log(self._reach(), Names(self.options.prefix, stream.id), stream, limits)

    def _opened(self, stream: StreamInfo) -> Log | None:
        key = (stream.id, stream.attempt)
        if key not in self._logs:
            return None
        self._logs.move_to_end(key)
        return self._logs[key] if self._logs[key].usable else None

    def _list(self, stream: StreamInfo, time: datetime) -> None:
        key = index(self.options.prefix)
        self._reach().pipeline(
            ("ZADD", key, int(time.timestamp() * 1000), stream.id), ("ZREMRANGEBYRANK", key, 0, -_INDEX_LENGTH - 1)
        )


def _address(target: str | None) -> Address | None:
    if target is not None:
        return Address(target)
    url = os.environ.get("REDIS_URL")
    return Address(url, "$REDIS_URL") if url else None


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The `redis` sink."""
    return [RedisSink]
