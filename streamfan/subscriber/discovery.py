"""Who waits for streams that begin, and where that is found out: the index, once the channel of that name has rung."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from streamfan.attempts import LAST
from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.events import is_stream_id
from streamfan.redis.names import Names, index
from streamfan.subscriber import history
from streamfan.subscriber.arrivals import Arrival
from streamfan.subscriber.faults import told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.errors import ServerError
    from streamfan.redis.connection import Connection
    from streamfan.redis.servers import Servers
    from streamfan.subscriber.arrivals import Arrivals
    from streamfan.subscriber.channels import Channels

# A channel may miss one; how often the index is read for that, and how often where it says that many begin.
_INDEX_LOOK = 2.0
_SOON = 0.02
# Of the index: all that a sink keeps in it, and anybody else may put more there.
_LISTED = 1000
# Streams that are asked about in one go.
_BATCH = 256


class Discovery:
    """Who waits for streams that begin; for one thread. Its methods raise a `SinkError` when a connection is lost."""

    def __init__(self, servers: Servers, channels: Channels, prefix: str) -> None:
        self._servers = servers
        self._channels = channels
        self._prefix = prefix
        self._name = index(prefix)
        # Until when each would wait for a server, on the monotonic clock.
        self._waiting: dict[Arrivals, float] = {}
        # What the index has said last of each stream, and the newest attempt at it that was seen then.
        self._known: dict[str, tuple[bytes, int]] = {}
        self._asked = False
        self._heard = False
        self._look_at = 0.0
        self._looked_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next_at(self) -> float:
        """When to look at the index next, on the monotonic clock."""
        return self._look_at if self._waiting else monotonic() + _INDEX_LOOK

    def add(self, arrivals: Arrivals, patience: float) -> None:
        """One more waits, and for `patience` seconds also for a server."""
        self._waiting[arrivals] = monotonic() + patience
        self._look_at = 0.0

    def remove(self, arrivals: Arrivals) -> None:
        """One waits no more."""
        self._waiting.pop(arrivals, None)
        if not self._waiting and self._asked:
            self._channels.ignore(self._name)
            self.deafen()

    def fail(self, error: BaseException, *, until: float = inf, new: bool = False) -> None:
        """Tell all whose patience ends until then that there is no more to be had; or only those that are `new`."""
        for arrivals in [each for each, patience in self._waiting.items() if patience <= until]:
            if not (new and arrivals.listed):
                del self._waiting[arrivals]
                arrivals.fail(error)

    def deafen(self) -> None:
        """The connection is lost."""
        self._asked = self._heard = False
        self._look_at = 0.0
        for arrivals in self._waiting:
            arrivals.settle()

    def acknowledged(self, channel: str) -> None:
        """From now on nothing of `channel` is missed."""
        if channel == self._name:
            self._heard = True
            self._look_at = 0.0

    def refused(self, channel: str, error: ServerError) -> None:
        """Nobody here may hear `channel`; whoever comes next asks again."""
        if channel == self._name:
            self.fail(error)
            self.deafen()

    def hear(self, channel: str, data: bytes) -> None:
        """What a channel says: a reason to look, and no more. All databases of a server have the same channels."""
        if channel == self._name and Arrival.parse(data) is not None:
            self._look_at = min(self._look_at, self._looked_at + _SOON)

    def poll(self) -> None:
        """Read the index, if it is time to."""
        if not self._waiting:
            return
        if not self._asked:
            self._channels.listen(self._name, self._servers.home(self._name), sharded=False)
            self._asked = True
        now = monotonic()
        if self._heard and now >= self._look_at:
            try:
                found = self._look()
            except Permanent as error:
                if not self._servers.at(self._name).alive:
                    raise
                # None of it concerns those who read a stream that they know.
                self.fail(told(error))
                return
            for arrivals in self._waiting:
                arrivals.list(found)
            self._looked_at, self._look_at = now, now + _INDEX_LOOK
        elif not self._heard:
            self._look_at = now + _INDEX_LOOK

    def _look(self) -> list[Arrival]:
        """The streams in the index, oldest first, each with the newest attempt at it."""
        answer = self._servers.at(self._name).command("ZRANGE", self._name, -_LISTED, -1, "WITHSCORES")
        names = (name.decode(errors="replace") for name in answer[::2])
        times = {name: time for name, time in zip(names, answer[1::2], strict=True) if is_stream_id(name)}
        # An attempt that begins puts another time there, and so does one that ends.
        changed = [name for name, time in times.items() if self._known.get(name, (b"", 0))[0] != time]
        attempts = {name: known[1] for name, known in self._known.items()} | self._attempts(changed)
        self._known = {name: (time, attempts[name]) for name, time in times.items()}
        return [Arrival(name, attempts[name]) for name in times]

    def _attempts(self, streams: Iterable[str]) -> dict[str, int]:
        by_connection: dict[Connection, list[Names]] = {}
        for names in (Names(self._prefix, stream) for stream in streams):
            by_connection.setdefault(self._servers.at(names.attempt), []).append(names)
        attempts: dict[str, int] = {}
        for connection, all_of_it in by_connection.items():
            for first in range(0, len(all_of_it), _BATCH):
                batch = all_of_it[first : first + _BATCH]
                answers = connection.answers(*(history.newest_attempt(names) for names in batch))
                attempts |= {names.stream: _attempt(answer) for names, answer in zip(batch, answers, strict=True)}
        return attempts


def _attempt(answer: Any) -> int:
    if isinstance(answer, Retryable):
        raise answer
    # Of a key that is something else nothing can be said; reading the stream says what is wrong.
    found = [] if isinstance(answer, SinkError) else history.entries(answer)
    return found[0][0].attempt if found and found[0][0].attempt <= LAST else 0
