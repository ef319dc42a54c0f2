"""What a reader hears of: a connection that is subscribed to channels.

It says that there is news, and may miss some; the truth is in the log. So whatever is wrong with it is said, and who
hears that looks into the log.
"""

from __future__ import annotations

import select
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from streamfan.errors import SinkError
from streamfan.redis.connection import TIMEOUT, Line
from streamfan.redis.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streamfan.redis.address import Address


class Heard(NamedTuple):
    """What has come from the server.

    Attributes:
        kind: `subscribed`: from now on nothing on the channel is missed. `message`: published on the channel. `moved`:
            another server of the cluster has the channel, and nothing more comes of it here. `pong`: answers a ping.
        channel: Empty with `pong`.
        data: What was published; empty unless it is a message.
    """

    kind: Literal["subscribed", "message", "moved", "pong"]
    channel: str = ""
    data: bytes = b""


class Doorbell(Line):
    """A connection that hears channels, made by the constructor.

    For one thread; never waits but for the rest of a message that has begun to come. Every method raises a `SinkError`:
    `Unreachable` when the connection is lost, and after any other error too it is not to be used any more.

    Args:
        credentials: `username` and `password`, where the URL's are not to be used.
        sharded: Whether the channels belong to slots, and this is the server that has them.
        timeout: Seconds that the server has to take a connection, and for the rest of a message.
    """

    def __init__(
        self,
        address: Address,
        credentials: Mapping[str, str] | None = None,
        *,
        sharded: bool,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(address, credentials, timeout=timeout)
        self._shard = "S" if sharded else ""
        self._poll = _poll(self._connection)
        self._wanted: set[str] = set()
        self._leaving: Counter[str] = Counter()

    def fileno(self) -> int:
        """For select(), which does not see everything: look at `buffered` too."""
        if not self.alive:
            raise Unreachable(f"Redis at {self.address}: the connection was lost")
        number: int = self._connection._sock.fileno()
        return number

    @property
    def buffered(self) -> bool:
        """Whether `messages` has something to give, or to raise: also what select() does not see any more."""
        try:
            # Asked of redis-py too, which notices that the server has hung up.
            return not self.alive or (self._readable() and bool(self._call(lambda: self._connection.can_read(0))))
        except SinkError:
            return True

    def subscribe(self, *channels: str) -> None:
        """Ask for what is published on these channels, and return at once; `messages` tells when that begins."""
        self._wanted.update(channels)
        self._ask("SUBSCRIBE", channels)

    def unsubscribe(self, *channels: str) -> None:
        """Ask for no more of these channels, and return at once; what was on its way still comes."""
        self._wanted.difference_update(channels)
        self._leaving.update(channels)
        self._ask("UNSUBSCRIBE", channels)

    def ping(self) -> None:
        """Ask for a pong, and return at once."""
        self._call(lambda: self._send([("PING",)]))

    def messages(self) -> Iterator[Heard]:
        """What has come, without waiting for more. May be left at any time: the rest is given the next time."""
        while self._readable():
            yield from self._call(self._read)

    def _ask(self, command: str, channels: tuple[str, ...]) -> None:
        # One command for each: of several, all have to be in one slot.
        self._call(lambda: self._send([(f"{self._shard}{command}", channel) for channel in channels]))

    def _readable(self) -> bool:
        if not self.alive:
            # redis-py would connect again.
            raise Unreachable(f"Redis at {self.address}: the connection was lost")
        if self._poll is None or self._connection._parser._buffer.unread_bytes():
            return bool(self._call(lambda: self._connection.can_read(0)))
        return bool(self._poll.poll(0))

    def _read(self) -> list[Heard]:
        from redis.exceptions import MovedError

        try:
            answer = self._connection.read_response()
        except MovedError as error:
            return self._moved(error.slot_id)
        return self._understood(*answer) if isinstance(answer, list) else [Heard("pong")]

    def _understood(self, kind: bytes, name: bytes, data: Any = b"") -> list[Heard]:
        channel = name.decode()
        match kind:
            case b"message" | b"smessage":
                return [Heard("message", channel, data)]
            case b"subscribe" | b"ssubscribe":
                return self._subscribed(channel)
            case b"unsubscribe" | b"sunsubscribe":
                return self._left(channel)
        return [Heard("pong")]

    def _subscribed(self, channel: str) -> list[Heard]:
        # Where the answer to an unsubscription is still to come, this answers what was asked before it.
        return [Heard("subscribed", channel)] if channel in self._wanted and channel not in self._leaving else []

    def _left(self, channel: str) -> list[Heard]:
        if channel in self._leaving:
            self._leaving[channel] -= 1
            if not self._leaving[channel]:
                del self._leaving[channel]
        elif channel in self._wanted:
            # Not asked for: the server has given the slot away.
            self._wanted.discard(channel)
            return [Heard("moved", channel)]
        return []

    def _moved(self, slot: int) -> list[Heard]:
        """The server has refused a command because of its slot; it does not say which command."""
        from redis.crc import key_slot

        for channel in [channel for channel in self._leaving if key_slot(channel.encode()) == slot]:
            del self._leaving[channel]
        moved = sorted(channel for channel in self._wanted if key_slot(channel.encode()) == slot)
        self._wanted.difference_update(moved)
        return [Heard("moved", channel) for channel in moved]


def _poll(connection: Any) -> select.poll | None:
    """What asks a socket whether something has come, at a tenth of the price that redis-py asks.

    None where a socket that has something may have nothing for us, as TLS does, and where redis-py reads otherwise, as
    it does with hiredis.
    """
    buffer = getattr(connection._parser, "_buffer", None)
    if isinstance(connection._sock, ssl.SSLSocket) or not hasattr(buffer, "unread_bytes"):
        return None
    poll = select.poll()
    poll.register(connection._sock, select.POLLIN)
    return poll
