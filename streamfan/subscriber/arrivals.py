"""The streams that begin while somebody waits for them."""

from __future__ import annotations

import re
from collections import OrderedDict
from concurrent.futures import Future
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from streamfan.attempts import LAST
from streamfan.events import is_stream_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# More than begin while one of them runs: its end brings a stream back into the index.
_REMEMBERED = 65_536


class Arrival(NamedTuple):
    """An attempt at a stream that has begun; 0 where it is not known which."""

    stream: str
    attempt: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Arrival | None:
        """What a channel says: `<stream> <attempt>`; None where that is nothing, for anybody may publish there."""
        stream, _, attempt = data.decode(errors="replace").partition(" ")
        if not is_stream_id(stream) or re.fullmatch("[0-9]{0,20}", attempt) is None or int(attempt or "0") > LAST:
            return None
        return cls(stream, int(attempt or "0"))


class Latest:
    """The latest attempt of each stream that came by last, of very many streams."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._attempts)

    def advance(self, arrival: Arrival) -> bool:
        """Take note of an attempt; whether it is later than any of its stream before."""
        stream, attempt = arrival
        if attempt <= self._attempts.get(stream, -1):
            return False
        self._attempts[stream] = attempt
        self._attempts.move_to_end(stream)
        if len(self._attempts) > _REMEMBERED:
            self._attempts.popitem(last=False)
        return True


class Arrivals:
    """Gives each stream that begins to whoever waits, once for each attempt; for the thread that reads.

    Args:
        give: Called with what has begun, or with the error after which nothing more comes.
        full: Whether whoever waits has more than enough to read; what begins meanwhile is given later, if the index
            has it still.

    Attributes:
        attended: Done when it is settled what has begun before, so that nothing is missed from then on; or when nobody
            was there to settle it.
        listed: Whether it was settled.
    """

    def __init__(
        self, give: Callable[[Arrival | BaseException], object], full: Callable[[], bool] = lambda: False
    ) -> None:
        self._give = give
        self._full = full
        self.attended: Future[None] = Future()
        self.listed = False
        self._old: dict[str, int] = {}
        self._given = Latest()

    def announce(self, arrival: Arrival) -> None:
        """Somebody says that this has begun."""
        if not self._full() and self._given.advance(arrival):
            self._old.pop(arrival.stream, None)
            self._give(arrival)

    def list(self, arrivals: Iterable[Arrival]) -> None:
        """The index holds these streams, oldest first, and these are their newest attempts."""
        found = tuple(arrivals)
        if not self.listed:
            # What is announced from now on is new, also where the index had it already.
            self.listed = True
            self._old = dict(found)
        for arrival in found:
            if arrival.attempt > self._old.get(arrival.stream, -1):
                self.announce(arrival)
        self.settle()

    def settle(self) -> None:
        """There is nothing to wait for before whoever waits goes on."""
        if not self.attended.done():
            self.attended.set_result(None)

    def fail(self, error: BaseException) -> None:
        """No more is to be had."""
        self.settle()
        # A copy: the same may be told to many, each in its own thread.
        self._give(copy(error))
