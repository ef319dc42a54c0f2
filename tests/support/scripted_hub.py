"""A hub that reads nothing and says what a test wants it to say, for tests of what subscribers hold."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from streamfan.redis.address import Address
from streamfan.subscriber.arrivals import Arrival
from streamfan.subscriber.reading import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Event
    from streamfan.subscriber.arrivals import Arrivals
    from streamfan.subscriber.reader import Reader
    from streamfan.subscriber.stopping import Stop

WANTED = Wanted(address=Address("redis://nowhere"), prefix="streamfan", events=False, wait=0.0, token=None)


class ScriptedHub:
    """Says what a test wants it to say.

    Attributes:
        attending: Who waits for streams.
        readers: Who reads, by stream.
        stops: Requests to stop.
        rooms: How often it was told that there is room again.
    """

    def __init__(self) -> None:
        self.attending: list[Arrivals] = []
        self.readers: dict[str, Reader] = {}
        self.stops: list[tuple[str, Stop]] = []
        self.rooms = 0

    def use(self, address: Address, prefix: str, order: Callable[[Any], object]) -> tuple[ScriptedHub, object]:
        """What `hubs.use` does, with this one."""
        return self, order(self)

    # What subscriptions call

    def attend(self, arrivals: Arrivals, patience: float) -> None:
        self.attending.append(arrivals)
        arrivals.list(())

    def dismiss(self, arrivals: Arrivals) -> None:
        if arrivals in self.attending:
            self.attending.remove(arrivals)

    def read(self, reader: Reader, patience: float) -> None:
        reader.resume(patience)
        self.readers[reader.stream] = reader

    def leave(self, reader: Reader) -> None:
        self.readers.pop(reader.stream, None)

    def make_room(self, reader: Reader) -> None:
        self.rooms += 1

    def stop(self, stream: str, stop: Stop) -> Future[bool]:
        self.stops.append((stream, stop))
        return Future()

    # What tests call

    def begin(self, *streams: str, attempt: int = 0) -> None:
        for arrivals in self.attending:
            for stream in streams:
                arrivals.announce(Arrival(stream, attempt))

    def say(self, stream: str, *items: Event | BaseException) -> None:
        for item in items:
            self.readers[stream].mailbox.put(item)
