"""Who waits for streams that begin, and where that is found out: the index, and the channel of the same name."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from streamfan.redis.names import index

if TYPE_CHECKING:
    from streamfan.redis.servers import Servers
    from streamfan.subscriber.arrivals import Arrivals
    from streamfan.subscriber.ears import Ears

# A channel may miss one; how often the index is read for that.
_INDEX_LOOK = 2.0


class Roll:
    """Who waits for streams that begin; for one thread. Its methods raise a `SinkError` when a connection is lost."""

    def __init__(self, servers: Servers, ears: Ears, prefix: str) -> None:
        self._servers = servers
        self._ears = ears
        self._name = index(prefix)
        self._waiting: list[Arrivals] = []
        self._asked = False
        self._heard = False
        self._look_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next_at(self) -> float:
        """When to look at the index next, on the monotonic clock."""
        return self._look_at if self._waiting else monotonic() + _INDEX_LOOK

    def add(self, arrivals: Arrivals) -> None:
        """One more waits."""
        self._waiting.append(arrivals)
        self._look_at = 0.0

    def remove(self, arrivals: Arrivals) -> None:
        """One waits no more."""
        if arrivals in self._waiting:
            self._waiting.remove(arrivals)
        if not self._waiting and self._asked:
            self._ears.ignore(self._name)
            self.deafen()

    def fail(self, error: BaseException) -> None:
        """Tell all who wait that there is no more to be had."""
        waiting, self._waiting = self._waiting, []
        for arrivals in waiting:
            arrivals.fail(error)

    def deafen(self) -> None:
        """The connection is lost."""
        self._asked = self._heard = False
        self._look_at = 0.0

    def acknowledged(self, channel: str) -> None:
        """From now on nothing of `channel` is missed."""
        if channel == self._name:
            self._heard = True
            self._look_at = 0.0

    def hear(self, channel: str, data: bytes) -> None:
        """What a channel says."""
        if channel == self._name:
            for arrivals in self._waiting:
                arrivals.announce(data.decode(errors="replace"))

    def call(self) -> None:
        """Read the index, if it is time to."""
        if not self._waiting:
            return
        if not self._asked:
            self._ears.listen(self._name, self._servers.home(self._name), sharded=False)
            self._asked = True
        now = monotonic()
        if self._heard and now >= self._look_at:
            streams = self._servers.at(self._name).command("ZRANGE", self._name, 0, -1)
            for arrivals in self._waiting:
                arrivals.list(stream.decode(errors="replace") for stream in streams)
            self._look_at = now + _INDEX_LOOK
        elif not self._heard:
            self._look_at = now + _INDEX_LOOK
