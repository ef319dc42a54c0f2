"""The servers that hold the keys: one, or those of a Redis Cluster.

A single server costs nothing but the connection to it. In a cluster each server knows which of them has which slots;
that is asked again after every connection that has broken, for it may be that another one has taken its place.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from streamfan.errors import Retryable
from streamfan.redis.connection import TIMEOUT, Connection
from streamfan.redis.errors import Moved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamfan.redis.address import Address

_LAST_SLOT = 16383
# A try to connect that takes longer than this is followed by a rest as long as it took.
_SLOW = 0.5


@dataclass(frozen=True, slots=True)
class _Slots:
    """Which server has which slots: ranges that do not overlap, in order; and all servers that there are."""

    ranges: Sequence[tuple[int, int, Address]]
    servers: Sequence[Address]

    @classmethod
    def all_at(cls, address: Address) -> _Slots:
        return cls([(0, _LAST_SLOT, address)], [address])

    @classmethod
    def parse(cls, answer: Any, asked: Address) -> _Slots:
        """What `asked` has answered to CLUSTER SLOTS."""
        ranges = sorted(
            (first, last, [_server(server, asked) for server in servers]) for first, last, *servers in answer
        )
        return cls(
            [(first, last, master) for first, last, (master, *_) in ranges],
            [server for *_, servers in ranges for server in servers],
        )

    def home(self, slot: int) -> Address | None:
        at = bisect_left(self.ranges, slot, key=lambda part: part[1])
        if at == len(self.ranges) or slot < self.ranges[at][0]:
            return None
        return self.ranges[at][2]


@dataclass(frozen=True, slots=True)
class _Rest:
    """A server that was slow to fail is left alone for a while."""

    until: float
    why: str


class Servers:
    """The server at an address, or those of the cluster that it belongs to: one connection to each that is needed.

    For one thread. Every method that has to reach a server raises a `SinkError` where it cannot.

    Attributes:
        address: As it was given.

    Args:
        address: A server; in a cluster any one of it.
        credentials: `username` and `password`, where the URL's are not to be used.
        timeout: Seconds that a server has for an answer.
        scripts: Whether connections are to find out if there are scripts.
    """

    def __init__(
        self,
        address: Address,
        credentials: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT,
        scripts: bool = False,
    ) -> None:
        self.address = address
        self._scripts = scripts
        self._credentials = credentials
        self._timeout = timeout
        self._connections: dict[Address, Connection] = {}
        self._rests: dict[Address, _Rest] = {}
        # Whom to ask for the map, in this order.
        self._known = [address]
        self._slots: _Slots | None = None
        self._clustered = False
        self._sharded = False

    @property
    def clustered(self) -> bool:
        """Whether it is a cluster; False until a server was reached."""
        return self._clustered

    @property
    def sharded(self) -> bool:
        """Whether channels belong to slots, as keys do; False until a server was reached."""
        return self._sharded

    def home(self, key: str) -> Address:
        """Where `key` lives: in a cluster by the slot of the hash tag in it. May have to ask."""
        if self._slots is None:
            self._slots = self._ask()
        if not self._clustered:
            return self._slots.ranges[0][2]
        slot = _slot(key)
        home = self._slots.home(slot)
        if home is None:
            self.forget()
            raise Retryable(f"Redis at {self.address}: no server of the cluster has slot {slot}")
        return home

    def at(self, key: str) -> Connection:
        """The connection to the server that `key` lives at; a new one where there is none or the last has broken."""
        self._drop_broken()
        return self._reach(self.home(key))

    def forget(self) -> None:
        """The map of slots is out of date: ask again before the next use."""
        self._slots = None

    def close(self) -> None:
        """Hang up everywhere; never raises."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self.forget()

    def _drop_broken(self) -> None:
        for address, connection in list(self._connections.items()):
            if not connection.alive:
                del self._connections[address]
                # Who knows that a slot has moved knows more than the others may; who is gone knows nothing.
                self._rank(address, first=isinstance(connection.lost, Moved))
                self.forget()

    def _ask(self) -> _Slots:
        """The map, from the first server that answers."""
        begun = monotonic()
        errors: list[Retryable] = []
        for address in tuple(self._known):
            try:
                return self._ask_at(address)
            except Retryable as error:
                errors.append(error)
                self._rank(address, first=False)
                # The next one is asked next time: one call does not wait for all servers in turn.
                if monotonic() - begun > _SLOW:
                    raise
        raise errors[0]

    def _ask_at(self, address: Address) -> _Slots:
        connection = self._reach(address)
        self._clustered, self._sharded = connection.clustered, connection.sharded
        if not self._clustered:
            return _Slots.all_at(address)
        slots = _Slots.parse(connection.command("CLUSTER", "SLOTS"), address)
        # The address that was given may be a name for whichever server there is: it is never forgotten.
        there = {self.address, address, *slots.servers}
        self._known = list(dict.fromkeys([*(known for known in self._known if known in there), *slots.servers]))
        self._keep({home for *_, home in slots.ranges})
        return slots

    def _keep(self, homes: set[Address]) -> None:
        for address in self._connections.keys() - homes:
            self._connections.pop(address).close()

    def _rank(self, address: Address, *, first: bool) -> None:
        if address in self._known:
            self._known.remove(address)
            self._known.insert(0 if first else len(self._known), address)

    def _reach(self, address: Address) -> Connection:
        connection = self._connections.get(address)
        if connection is not None and connection.alive:
            return connection
        try:
            self._connections[address] = self._connect(address)
        except Retryable:
            # Another one may have taken its place.
            self.forget()
            raise
        return self._connections[address]

    def _connect(self, address: Address) -> Connection:
        begun = monotonic()
        rest = self._rests.pop(address, None)
        if rest is not None and begun < rest.until:
            self._rests[address] = rest
            raise Retryable(rest.why, after=rest.until - begun)
        try:
            return Connection(address, self._credentials, timeout=self._timeout, scripts=self._scripts)
        except Retryable as error:
            # One try that has timed out speaks for all streams: a thousand do not wait one after the other.
            spent = monotonic() - begun
            if spent > _SLOW:
                self._rests[address] = _Rest(begun + 2 * spent, str(error))
            raise


def _server(server: Sequence[Any], asked: Address) -> Address:
    # Host, port and more. A server that does not know its own name says nothing, or "?".
    host = (server[0] or b"").decode()
    return asked.at(None if host in {"", "?"} else host, server[1])


def _slot(key: str) -> int:
    from redis.crc import key_slot

    return key_slot(key.encode())
