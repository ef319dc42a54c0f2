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


class _Ear:
    def __init__(self, doorbell: Doorbell) -> None:
        self.doorbell = doorbell
        self.heard_at = monotonic()
        self.asked = False


class Ears:
    """The channels that are listened to. For one thread; raises a `SinkError` when a connection is lost."""

    def __init__(self) -> None:
        self._ears: dict[tuple[Address, bool], _Ear] = {}
        self._channels: dict[str, tuple[Address, bool]] = {}

    @property
    def descriptors(self) -> list[int]:
        """What `select` can wait for."""
        return [ear.doorbell.fileno() for ear in self._ears.values()]

    @property
    def buffered(self) -> bool:
        """Whether `messages` has something to give, or to raise: also what `select` does not see any more."""
        return any(ear.doorbell.buffered for ear in self._ears.values())

    def listen(self, channel: str, address: Address, *, sharded: bool) -> None:
        """Ask the server at `address` for what is published on `channel`."""
        place = (address, sharded)
        if place not in self._ears:
            self._ears[place] = _Ear(Doorbell(address, sharded=sharded, timeout=_TIMEOUT))
        self._channels[channel] = place
        self._ears[place].doorbell.subscribe(channel)

    def ignore(self, channel: str) -> None:
        """Listen to `channel` no more."""
        place = self._channels.pop(channel, None)
        if place is not None:
            self._ears[place].doorbell.unsubscribe(channel)

    def messages(self) -> Iterator[Heard]:
        """What has come, without waiting for more; of a server that never stops only some, and the rest later."""
        for ear in self._ears.values():
            until = monotonic() + _TURN
            for message in ear.doorbell.messages():
                ear.heard_at, ear.asked = monotonic(), False
                yield message
                if ear.heard_at >= until:
                    break

    def check(self) -> None:
        """Ask servers of which nothing is heard whether they are there.

        Raises:
            Unreachable: One has not answered.
        """
        now = monotonic()
        for (address, _), ear in self._ears.items():
            if now - ear.heard_at < _QUIET:
                continue
            if ear.asked:
                raise Unreachable(f"Redis at {address}: no answer for {now - ear.heard_at:.1f} s")
            ear.doorbell.ping()
            ear.heard_at, ear.asked = now, True

    def close(self) -> None:
        """Hang up everywhere; nothing is listened to any more."""
        for ear in self._ears.values():
            ear.doorbell.close()
        self._ears.clear()
        self._channels.clear()
