"""The streams that begin while somebody waits for them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from streamfan.events import is_stream_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# More than begin while one of them runs: its end brings a stream back into the index.
_REMEMBERED = 65_536


class Arrivals:
    """Gives each stream that begins to whoever waits, once; for the thread that reads.

    Args:
        give: Called with the id of a stream, or with the error after which none will come.
    """

    def __init__(self, give: Callable[[str | BaseException], object]) -> None:
        self._give = give
        self._listed = False
        self._old: set[str] = set()
        self._given: OrderedDict[str, None] = OrderedDict()

    def announce(self, stream: str) -> None:
        """Somebody says that `stream` has begun."""
        # Anybody may publish on a channel.
        if stream in self._given or not is_stream_id(stream):
            return
        self._given[stream] = None
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        self._old.discard(stream)
        self._give(stream)

    def list(self, streams: Iterable[str]) -> None:
        """The index holds `streams`, oldest first."""
        found = tuple(streams)
        if not self._listed:
            # What is announced from now on is new, also where the index had it already.
            self._listed = True
            self._old = set(found)
        for stream in found:
            if stream not in self._old:
                self.announce(stream)
        self._old.intersection_update(found)

    def fail(self, error: BaseException) -> None:
        """No more is to be had."""
        self._give(error)
