"""Whose a stream is: of all attempts at it the latest has it, and any other is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from streamfan.errors import Permanent
from streamfan.redis.batch import accept
from streamfan.redis.connection import milliseconds
from streamfan.redis.entries import field
from streamfan.redis.errors import Refused
from streamfan.redis.names import EntryId

if TYPE_CHECKING:
    from streamfan.events import StreamInfo
    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Command
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions

NOT_LATER = "equal or smaller"
"""What a server says of an entry whose id is not greater than the last one's."""

# The attempt key outlives the log by this: a writer that was away for so long takes over from nobody unnoticed.
_OUTLIVES = 24 * 3600.0


class Owner(NamedTuple):
    """An attempt and its writer; of two, the one with the later attempt owns the stream."""

    attempt: int
    writer: str

    def __str__(self) -> str:
        return f"attempt {self.attempt} of writer {self.writer!r}"


class Claim:
    """What one attempt says, and hears, of whose the stream is.

    Attributes:
        taken: The error that says that somebody else has taken the stream over, once that has been found out. It stays
            so also where the server has forgotten by whom.
    """

    def __init__(self, names: Names, stream: StreamInfo, options: RedisOptions) -> None:
        self.owner = Owner(stream.attempt, stream.writer)
        self.taken: Permanent | None = None
        self._key = names.attempt
        self._stream = stream.id
        self._options = options

    @property
    def question(self) -> Command:
        """Asks whose the stream is."""
        return ("XREVRANGE", self._key, "+", "-", "COUNT", 1)

    def check(self, answer: Any) -> bool:
        """Take the answer to `question`; returns whether the stream has been claimed for this attempt.

        Raises:
            Permanent: Somebody else has taken the stream over.
        """
        if self.taken is not None:
            raise self.taken
        for id, fields in answer:
            newest = Owner(EntryId.parse(id).attempt, field(fields, b"writer").decode())
            if newest != self.owner and newest.attempt >= self.owner.attempt:
                raise self.lost(*newest)
            return newest == self.owner
        return False

    @property
    def commands(self) -> tuple[Command, ...]:
        """Take the stream over from older attempts."""
        attempt, writer = self.owner
        # The lease's time is for readers that find no lease and have to know how long one would hold.
        entry = (f"{attempt}-0", "writer", writer, "lease", f"{self._options.lease:g}")
        # Together: when this connection breaks, nobody may be left to say how long it is kept.
        return ("XADD", self._key, "MAXLEN", 1, *entry), self.kept_for(self._options.ttl + self._options.lease)

    def kept_for(self, seconds: float) -> Command:
        """Keep the claim for a log that is kept for `seconds`."""
        return ("PEXPIRE", self._key, milliseconds(seconds + _OUTLIVES))

    def lost(self, attempt: int, writer: str | None = None) -> Permanent:
        """Lose the stream to `attempt`; the error that says so."""
        who = f"attempt {attempt}" if writer is None else Owner(attempt, writer)
        ahead = attempt / 1000 - time.time()
        clock = f"; that is {ahead:.0f} s ahead of the clock here, which may be behind" if ahead > 1 else ""
        self.taken = Permanent(f"stream {self._stream!r}: {who} has taken over from {self.owner}{clock}")
        return self.taken


def was_later(answers: Answers) -> bool:
    """Whether an entry, the first of what was asked, was later than the last one; raises any other error."""
    first, *others = answers
    refused = isinstance(first, Refused) and NOT_LATER in str(first)
    accept(others if refused else answers)
    return not refused
