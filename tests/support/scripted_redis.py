"""A Redis that says what a test wants it to say, as those who read from it meet it: its connections are scripted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from streamfan.redis.address import Address
from streamfan.redis.doorbell import Heard
from streamfan.redis.errors import Unreachable
from streamfan.redis.names import Names, index
from tests.support.wire_events import entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.errors import SinkError
    from streamfan.events import Event

HERE = Address("redis://here")


class ScriptedRedis:
    """A server, all connections to it, and what it holds; in place of `Servers`.

    Attributes:
        logs: What each stream's log holds.
        leases: What each stream's lease holds.
        listed: Ids in the index.
        away: What whoever connects meets, or sends a command.
        silent: What whoever sends a command meets, and can connect again.
        cut: What whoever sends a command meets once.
        refuses: What a command of this name meets.
        tries: How often somebody wanted a connection.
        asked: How often commands were sent.
        timeouts: How long each kind of connection waits.
        set: Keys that were written.
        babble: Whether channels never stop.
    """

    sharded = False
    alive = True
    address = HERE

    def __init__(self) -> None:
        self.logs: dict[str, list[Event]] = {}
        self.leases: dict[str, bytes] = {}
        self.listed: list[str] = []
        self.away: SinkError | None = None
        self.silent: SinkError | None = None
        self.cut: SinkError | None = None
        self.refuses: dict[str, SinkError] = {}
        self.tries = 0
        self.asked = 0
        self.timeouts: dict[str, float] = {}
        self.set: list[str] = []
        self.babble = False
        self.doorbells: list[ScriptedDoorbell] = []

    def servers(self, address: Address, *, timeout: float) -> ScriptedRedis:
        """In place of the class."""
        self.timeouts["commands"] = timeout
        return self

    def doorbell(self, address: Address, *, sharded: bool, timeout: float) -> ScriptedDoorbell:
        """In place of the class."""
        self.timeouts["doorbell"] = timeout
        self.doorbells.append(ScriptedDoorbell(self))
        return self.doorbells[-1]

    # What `Servers` does

    def home(self, key: str) -> Address:
        return HERE

    def at(self, key: str) -> ScriptedRedis:
        self.tries += 1
        if self.away is not None:
            raise self.away
        self.alive = True
        return self

    def close(self) -> None:
        self.alive = False

    # What a connection does

    def command(self, *arguments: Any) -> Any:
        return self.pipeline(arguments)[0]

    def pipeline(self, *commands: tuple[Any, ...]) -> list[Any]:
        answers = self.answers(*commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def answers(self, *commands: tuple[Any, ...]) -> list[Any]:
        self.asked += 1
        trouble, self.cut = self.away or self.silent or self.cut, None
        if trouble is not None:
            self.alive = False
            raise trouble
        return [self.refuses.get(command[0]) or self._answer(*command) for command in commands]

    def _answer(self, command: str, key: str, *arguments: Any) -> Any:
        if command == "SET":
            self.set.append(key)
            return b"OK"
        if key == index("streamfan"):
            return [part for id in self.listed for part in (id.encode(), b"1")]
        stream = key[key.index("{") + 1 : key.index("}")]
        names = Names("streamfan", stream)
        if key == names.lease:
            lease = self.leases.get(stream)
            return lease if command == "GET" else -2 if lease is None else 20_000
        entries = [
            [str(id).encode(), [b"event", data]]
            for id, data in map(entry, self.logs.get(stream, []))
            if key == names.log
        ]
        return entries[-1:] if command == "XREVRANGE" else entries


class ScriptedDoorbell:
    """A connection that hears channels."""

    def __init__(self, redis: ScriptedRedis) -> None:
        self._redis = redis
        self._coming: list[Heard] = []
        self._bell, self._ringer = socket.socketpair()

    def fileno(self) -> int:
        return self._bell.fileno()

    @property
    def buffered(self) -> bool:
        return self._redis.babble or bool(self._coming)

    def subscribe(self, channel: str) -> None:
        self._coming.append(Heard("subscribed", channel))

    def unsubscribe(self, channel: str) -> None:
        pass

    def ping(self) -> None:
        self._coming.append(Heard("pong"))

    def messages(self) -> Iterator[Heard]:
        if self._redis.away is not None:
            raise Unreachable("the connection was lost")
        while self.buffered:
            yield self._coming.pop(0) if self._coming else Heard("message", "noise", b"noise")

    def close(self) -> None:
        self._bell.close()
        self._ringer.close()
