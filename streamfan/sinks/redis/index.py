"""The index of recent streams, as a sink writes it.

It says where to look and counts for nothing else: what cannot be listed is in its log all the same.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamfan.redis.batch import Batch, accept
from streamfan.redis.errors import OtherType
from streamfan.redis.names import index

if TYPE_CHECKING:
    from datetime import datetime

    from streamfan.redis.batch import Answers
    from streamfan.sinks.redis.link import Link

log = logging.getLogger("streamfan.sinks.redis")

_LENGTH = 1000


class Index:
    """The index that all streams of one prefix are in.

    Attributes:
        key: Where it is.
    """

    def __init__(self, prefix: str, link: Link) -> None:
        self.key = index(prefix)
        self._link = link
        self._warned = False

    def listing(self, stream: str, time: datetime, announced: int | None = None) -> Batch:
        """List a stream, of which `time` is the last that is known.

        Args:
            announced: The attempt, where it is to be published that it has begun.
        """
        batch = Batch()
        batch.add(
            (
                ("ZADD", self.key, int(time.timestamp() * 1000), stream),
                ("ZREMRANGEBYRANK", self.key, 0, -_LENGTH - 1),
            ),
            self._listed,
        )
        if announced is not None:
            # Whoever hears of it finds it in the index.
            # Not sharded, in a cluster either: who waits for any stream knows none that would tell the server.
            batch.add((("PUBLISH", self.key, f"{stream} {announced}"),))
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
