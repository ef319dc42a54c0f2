"""The `redis` sink: a stream's whole history and its live text, for readers in other programs and other languages.

Each event is appended to a log and then published on a channel, so a reader that joins late, or missed something, finds
in the log what it was not told. Exactly once: `open` reads how much of the text the log holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions
from streamfan.redis.client import check_client
from streamfan.sink import Delivery, Sink
from streamfan.sinks.redis.link import Link
from streamfan.sinks.redis.log_mode import LogMode
from streamfan.sinks.redis.options import RedisOptions
from streamfan.sinks.redis.pubsub_mode import PubSubMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import Chunk, End, StreamInfo


class Mode(Protocol):
    """What becomes of a sink's streams; see `Sink` for what each method promises."""

    def check(self) -> None:
        """Find out whether server and user will do."""

    def open(self, stream: StreamInfo) -> int | None:
        """See `Sink.open`."""

    def write(self, chunk: Chunk) -> None:
        """See `Sink.write`."""

    def beat(self, stream: StreamInfo) -> None:
        """See `Sink.beat`."""

    def close(self, stream: StreamInfo, end: End) -> None:
        """See `Sink.close`."""


class RedisSink(Sink):
    """Keeps each stream as a log in Redis and publishes it live, for readers anywhere.

    The target is a URL. Without one it is `$REDIS_URL`, else localhost:6379 if a Redis answers there, else a server
    that is started for development and ends with this program.
    """

    name = "redis"
    aliases = ("rediss", "unix")
    Options = RedisOptions
    delivery = Delivery.EXACTLY_ONCE
    lane_defaults = LaneOptions(linger=0.010)

    options: RedisOptions

    def __init__(self, target: str | None = None, options: RedisOptions | None = None) -> None:
        super().__init__(target, options)
        self._link = Link(target, self.options.credentials)
        self._mode: Mode
        if self.options.mode == "pubsub":
            self.delivery = Delivery.AT_MOST_ONCE
            self._mode = PubSubMode(self._link, self.options)
        else:
            self.heartbeat = self.options.heartbeat
            self._mode = LogMode(self._link, self.options)

    @property
    def label(self) -> str | None:
        return None if self._link.address is None else str(self._link.address)

    def connect(self) -> None:
        check_client("sink 'redis'")
        self._link.find()
        self._mode.check()

    def open(self, stream: StreamInfo) -> int | None:
        return self._mode.open(stream)

    def write(self, chunk: Chunk) -> None:
        self._mode.write(chunk)

    def beat(self, stream: StreamInfo) -> None:
        self._mode.beat(stream)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._mode.close(stream, end)

    def disconnect(self) -> None:
        self._link.close()


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    """The `redis` sink."""
    return [RedisSink]
