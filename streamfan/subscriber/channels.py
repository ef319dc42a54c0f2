"""The channels that are listened to: one connection to each server that has some of them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from streamfan.redis.doorbell import Doorbell
from streamfan.redis.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.redis.address import Address
    from streamfan.redis.doorbell import Heard

# A server of which nothing is heard for so long is asked whether it is there, and has as long for its answer.
_QUIET = 2.0
# How long one server is listened to in one go.
_TURN = 0.02
# Nothing else is heard while a connection is made.
_TIMEOUT = 2.0


class _Server:
    def __init__(self, doorbell: Doorbell) -> None:
        self.doorbell = doorbell
        self.heard_at = monotonic()
        self.asked = False


class Channels:
    """The channels that are listened to. For one thread; raises a `SinkError` when a connection is lost."""

    def __init__(self) -> None:
        self._servers: dict[tuple[Address, bool], _Server] = {}
        self._channels: dict[str, tuple[Address, bool]] = {}

    @property
    def descriptors(self) -> list[int]:
        """What `select` can wait for."""
        return [server.doorbell.fileno() for server in self._servers.values()]

    @property
    def buffered(self) -> bool:
        """Whether `messages` has something to give, or to raise: also what `select` does not see any more."""
        return any(server.doorbell.buffered for server in self._servers.values())

    def listen(self, channel: str, address: Address, *, sharded: bool) -> None:
        """Ask the server at `address` for what is published on `channel`."""
        place = (address, sharded)
        if place not in self._servers:
            self._servers[place] = _Server(Doorbell(address, sharded=sharded, timeout=_TIMEOUT))
        self._channels[channel] = place
        self._servers[place].doorbell.subscribe(channel)

    def ignore(self, channel: str) -> None:
        """Listen to `channel` no more."""
        place = self._channels.pop(channel, None)
        if place is not None:
            self._servers[place].doorbell.unsubscribe(channel)

    def messages(self) -> Iterator[Heard]:
        """What has come, without waiting for more; of a server that never stops only some, and the rest later."""
        for server in self._servers.values():
            until = monotonic() + _TURN
            for message in server.doorbell.messages():
                server.heard_at, server.asked = monotonic(), False
                yield message
                if server.heard_at >= until:
                    break

    def check(self) -> None:
        """Ask servers of which nothing is heard whether they are there.

        Raises:
            Unreachable: One has not answered.
        """
        now = monotonic()
        for (address, _), server in self._servers.items():
            if now - server.heard_at < _QUIET:
                continue
            if server.asked:
                raise Unreachable(f"Redis at {address}: no answer for {now - server.heard_at:.1f} s")
            server.doorbell.ping()
            server.heard_at, server.asked = now, True

    def close(self) -> None:
        """Hang up everywhere; nothing is listened to any more."""
        for server in self._servers.values():
            server.doorbell.close()
        self._servers.clear()
        self._channels.clear()
