"""The index of recent streams, as a sink writes it.

It says where to look and counts for nothing else: what cannot be listed is in its log all the same.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import SinkError
from streamfan.events import now
from streamfan.redis.batch import Batch, accept
from streamfan.redis.errors import OtherType
from streamfan.redis.names import index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Command
    from streamfan.sinks.redis.link import Link

log = logging.getLogger("streamfan.sinks.redis")

_LENGTH = 1000
# How often streams that go on are listed again. Not with every beat: who waits for new streams asks of each that was
# listed since which attempt is its newest.
_AGAIN = 30.0


class Index:
    """The index that all streams of one prefix are in.

    Attributes:
        key: Where it is.
    """

    def __init__(self, prefix: str, link: Link) -> None:
        self.key = index(prefix)
        self._link = link
        self._again_at = monotonic() + _AGAIN
        self._warned = False

    def listing(self, stream: str, time: datetime, announced: int | None = None) -> Batch:
        """List a stream, of which `time` is the last that is known.

        Args:
            announced: The attempt, where it is to be published that it has begun.
        """
        batch = self._entering([stream], time)
        if announced is not None:
            # Whoever hears of it finds it in the index.
            # Not sharded, in a cluster either: who waits for any stream knows none that would tell the server.
            batch.add((("PUBLISH", self.key, f"{stream} {announced}"),))
        return batch

    def list_again(self, streams: Sequence[str]) -> None:
        """List streams that go on, now and then: others that begin have pushed out who was listed long ago.

        Never raises: whoever opens or closes a stream is told where that cannot be done.
        """
        if not streams or monotonic() < self._again_at:
            return
        self._again_at = monotonic() + _AGAIN
        try:
            self._entering(streams[-_LENGTH:], now()).send(self._link.reach(self.key))
        except SinkError as error:
            log.debug("streams were not listed again: %s", error)

    def _entering(self, streams: Sequence[str], time: datetime) -> Batch:
        score = int(time.timestamp() * 1000)
        members: Command = tuple(part for stream in streams for part in (score, stream))
        batch = Batch()
        batch.add(
            (
                ("ZADD", self.key, *members),
                ("ZREMRANGEBYRANK", self.key, 0, -_LENGTH - 1),
            ),
            self._listed,
        )
        return batch

    def _listed(self, answers: Answers) -> None:
        others = [answer for answer in answers if not isinstance(answer, OtherType)]
        if len(others) < len(answers) and not self._warned:
            self._warned = True
            log.warning(
                "Redis at %s: %r has another type than the index of recent streams: none is listed",
                self._link.address,
                self.key,
            )
        accept(others)
