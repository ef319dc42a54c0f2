"""The beats of many streams, shown to each server together.

A lane beats for one stream after the other, and each beat of its own would take its round trips: with a thousand
streams and a distant server, longer than a lease lasts.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import SinkError
from streamfan.redis.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamfan.redis.address import Address
    from streamfan.redis.batch import Answers
    from streamfan.sinks.redis.index import Index
    from streamfan.sinks.redis.link import Link
    from streamfan.sinks.redis.presence import Presence

# Seconds without a beat of its own after which a stream has none with the others: a lane that gives a stream up does
# not say so. Longer than a lane takes to come round to all of its streams.
_GIVEN_UP = 30.0


class Heartbeats:
    """The beats of all streams of one sink: a round of them takes two round trips to each server.

    No lease is older than five half heartbeats, as long as calls come.

    Args:
        heartbeat: Seconds between two rounds.
        presences: Gives those whose streams are open.
        index: Where these stay listed.
    """

    def __init__(self, link: Link, heartbeat: float, presences: Callable[[], Iterable[Presence]], index: Index) -> None:
        self._link = link
        self._index = index
        self._heartbeat = heartbeat
        self._presences = presences
        self._round_at = 0.0

    def beat(self, presence: Presence) -> None:
        """Show that one producer lives, and all others with it, unless it was shown with another since its last beat.

        Raises:
            SinkError: What this one has met.
        """
        if presence.ended:
            return
        now = monotonic()
        shown = presence.beaten_at < self._round_at and not self._is_due(now)
        presence.beaten_at = now
        if not shown:
            self._go_round(now, presence)
        if presence.error is not None:
            raise presence.error

    def keep_up(self) -> None:
        """Show that all live, if it is time: a lane that has much to do comes to its beats too late. Never raises."""
        if self._is_due(now := monotonic()):
            self._go_round(now)

    def _is_due(self, now: float) -> bool:
        return now - self._round_at >= self._heartbeat

    def _go_round(self, now: float, first: Presence | None = None) -> None:
        self._round_at = now
        going_on = [one for one in self._presences() if one.lasts and now - one.beaten_at < _GIVEN_UP]
        due = [one for one in going_on if one.is_due(now)]
        if first is not None and first not in due:
            due.append(first)
        for there in self._by_server(due):
            self._show(there, now)
        self._index.list_again([one.stream for one in going_on])

    def _by_server(self, presences: Iterable[Presence]) -> Iterable[Sequence[Presence]]:
        homes: defaultdict[Address, list[Presence]] = defaultdict(list)
        for presence in presences:
            try:
                homes[self._link.home(presence.key)].append(presence)
            except SinkError as error:
                presence.error = error
        return homes.values()

    def _show(self, presences: Sequence[Presence], now: float) -> None:
        """Show that these live, which are at one server."""
        asking, renewing = Batch(), Batch()
        for presence in presences:
            presence.error = None
            asking.add(presence.questions, partial(_take, presence, presence.hear))
        try:
            connection = self._link.reach(presences[0].key)
            asking.send(connection)
            for presence in presences:
                if presence.error is None:
                    renewal = presence.renewal(scripts=connection.scripts)
                    renewing.add(renewal, partial(_take, presence, partial(presence.renewed, now)))
            renewing.send(connection)
        except SinkError as error:
            for presence in presences:
                presence.error = presence.error or error


def _take(presence: Presence, heard: Callable[[Answers], object], answers: Answers) -> None:
    """What one stream has met is its own affair."""
    try:
        heard(answers)
    except SinkError as error:
        presence.error = error
