"""What a reader hears of: a connection that is subscribed to channels.

It says that there is news, and may miss some; the truth is in the log. So whatever is wrong with it is said, and who
hears that looks into the log.
"""

from __future__ import annotations

import select
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from streamfan.errors import SinkError
from streamfan.redis.connection import TIMEOUT, RawConnection
from streamfan.redis.errors import Refused, Unreachable, sorted_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamfan.redis.address import Address


class Heard(NamedTuple):
    """What has come from the server.

    Attributes:
        kind: `subscribed`: from now on nothing on the channel is missed. `message`: published on the channel. `moved`:
            another server of the cluster has the channel, and nothing more comes of it here. `refused`: this user may
            not hear the channel. `pong`: answers a ping.
        channel: Empty with `pong`.
        data: What was published; empty unless it is a message.
        error: Why it was refused; None unless it was.
    """

    kind: Literal["subscribed", "message", "moved", "refused", "pong"]
    channel: str = ""
    data: bytes = b""
    error: Refused | None = None


class _Request:
    """A command whose answer is still to come; one is no other, whatever they ask for."""

    def __init__(self, command: Literal["SUBSCRIBE", "UNSUBSCRIBE", "PING"], channel: str = "") -> None:
        self.command = command
        self.channel = channel


class Doorbell(RawConnection):
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
        # What the server answers to: an error does not say what it is about, but answers come in the order of commands.
        self._asked: deque[_Request] = deque()
        # The channels to be heard, each with the last request for it.
        self._wanted: dict[str, _Request] = {}

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
        requests = [_Request("SUBSCRIBE", channel) for channel in channels]
        self._wanted.update(zip(channels, requests, strict=True))
        self._ask(requests)

    def unsubscribe(self, *channels: str) -> None:
        """Ask for no more of these channels, and return at once; what was on its way still comes."""
        for channel in channels:
            self._wanted.pop(channel, None)
        self._ask([_Request("UNSUBSCRIBE", channel) for channel in channels])

    def ping(self) -> None:
        """Ask for a pong, and return at once."""
        self._ask([_Request("PING")])

    def messages(self) -> Iterator[Heard]:
        """What has come, without waiting for more. May be left at any time: the rest is given the next time."""
        while self._readable():
            yield from self._call(self._read)

    def _ask(self, requests: Sequence[_Request]) -> None:
        self._asked.extend(requests)
        # One command for each channel: of several, all have to be in one slot.
        commands = [
            (f"{self._shard}{request.command}", request.channel) if request.channel else (request.command,)
            for request in requests
        ]
        self._call(lambda: self._send(commands))

    def _readable(self) -> bool:
        if not self.alive:
            # redis-py would connect again.
            raise Unreachable(f"Redis at {self.address}: the connection was lost")
        if self._poll is None or self._connection._parser._buffer.unread_bytes():
            return bool(self._call(lambda: self._connection.can_read(0)))
        return bool(self._poll.poll(0))

    def _read(self) -> list[Heard]:
        try:
            answer = self._connection.read_response()
        except self._refusal as error:
            return self._refused(error)
        return self._understood(*answer) if isinstance(answer, list) else self._pong()

    def _understood(self, kind: bytes, name: bytes, data: Any = b"") -> list[Heard]:
        channel = name.decode()
        match kind:
            case b"message" | b"smessage":
                return [Heard("message", channel, data)]
            case b"subscribe" | b"ssubscribe":
                return self._subscribed(channel)
            case b"unsubscribe" | b"sunsubscribe":
                return self._left(channel)
        return self._pong()

    def _pong(self) -> list[Heard]:
        self._answered("PING")
        return [Heard("pong")]

    def _subscribed(self, channel: str) -> list[Heard]:
        request = self._answered("SUBSCRIBE", channel)
        # Else it was left since then, or asked for once more.
        return [Heard("subscribed", channel)] if request is not None and request is self._wanted.get(channel) else []

    def _left(self, channel: str) -> list[Heard]:
        # Where it was not asked for, the server has given the slot away.
        return [] if self._answered("UNSUBSCRIBE", channel) else self._gone(Heard("moved", channel))

    def _refused(self, error: Exception) -> list[Heard]:
        """The server has answered the oldest request with an error."""
        from redis.exceptions import MovedError

        if isinstance(error, MovedError):
            return self._moved(error.slot_id)
        refusal = sorted_error(error, self.address)
        if not self._asked or self._asked[0].command == "PING" or not isinstance(refusal, Refused):
            raise error
        request = self._asked.popleft()
        # What cannot be left is not wanted, and still comes.
        refused = Heard("refused", request.channel, error=Refused(f"{refusal}: {request.channel!r}"))
        return self._gone(refused) if request.command == "SUBSCRIBE" else []

    def _moved(self, slot: int) -> list[Heard]:
        """The same, because another server has the slot."""
        from redis.crc import key_slot

        if not self._asked or key_slot(self._asked[0].channel.encode()) != slot:
            # It answers a request to leave: that the server would give the slot away was taken for the answer.
            return []
        request = self._asked.popleft()
        return self._gone(Heard("moved", request.channel)) if request.command == "SUBSCRIBE" else []

    def _gone(self, heard: Heard) -> list[Heard]:
        """Nothing comes of a channel any more; that is news to whoever wants it."""
        return [heard] if self._wanted.pop(heard.channel, None) else []

    def _answered(self, command: str, channel: str = "") -> _Request | None:
        """The oldest request, if it is this one; the server also says things by itself."""
        if self._asked and (self._asked[0].command, self._asked[0].channel) == (command, channel):
            return self._asked.popleft()
        return None


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
