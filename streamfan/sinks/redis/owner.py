"""Whose a stream is: of all attempts at it the latest has it, and any other is told so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from streamfan.errors import Permanent
from streamfan.redis.entries import field
from streamfan.redis.errors import Refused
from streamfan.redis.names import EntryId

if TYPE_CHECKING:
    from streamfan.events import StreamInfo
    from streamfan.redis.connection import Connection
    from streamfan.redis.names import Names

NOT_LATER = "equal or smaller"
"""What a server says of an entry whose id is not greater than the last one's."""


class Owner(NamedTuple):
    """An attempt and its writer; of two, the one with the later attempt owns the stream."""

    attempt: int
    writer: str

    def __str__(self) -> str:
        return f"attempt {self.attempt} of writer {self.writer!r}"


class Claim:
    """What one attempt says, and hears, of whose the stream is.

    Args:
        lease: Seconds without a sign of life after which its producer counts as lost. It stands beside the writer, for
            readers that find no lease and have to know how long one would hold.
    """

    def __init__(self, connection: Connection, names: Names, stream: StreamInfo, lease: float) -> None:
        self.owner = Owner(stream.attempt, stream.writer)
        self._connection = connection
        self._key = names.attempt
        self._stream = stream.id
        self._lease = lease

    @property
    def made(self) -> bool:
        """Whether the stream has been claimed, for this attempt or for a later one."""
        newest = self._newest()
        return newest is not None and newest.attempt >= self.owner.attempt

    def make(self) -> None:
        """Take the stream over from older attempts; whether somebody was quicker comes out when it is checked."""
        attempt, writer = self.owner
        entry = (f"{attempt}-0", "writer", writer, "lease", f"{self._lease:g}")
        try:
            self._connection.command("XADD", self._key, "MAXLEN", 1, *entry)
        except Refused as error:
            if NOT_LATER not in str(error):
                raise

    def check(self) -> None:
        """Raise if somebody else has taken the stream over."""
        newest = self._newest()
        if newest is not None and newest != self.owner and newest.attempt >= self.owner.attempt:
            raise self._lost_to(newest)

    def lost(self, attempt: int, writer: str | None = None) -> Permanent:
        """The error that says that `attempt` has the stream."""
        newest = self._newest()
        if newest is not None and newest.attempt >= attempt and newest != self.owner:
            return self._lost_to(newest)
        return self._lost_to(Owner(attempt, writer) if writer is not None else attempt)

    def _lost_to(self, other: Owner | int) -> Permanent:
        attempt, who = (other.attempt, other) if isinstance(other, Owner) else (other, f"attempt {other}")
        ahead = attempt / 1000 - time.time()
        clock = f"; that is {ahead:.0f} s ahead of the clock here, which may be behind" if ahead > 1 else ""
        return Permanent(f"stream {self._stream!r}: {who} has taken over from {self.owner}{clock}")

    def _newest(self) -> Owner | None:
        entries = self._connection.command("XREVRANGE", self._key, "+", "-", "COUNT", 1)
        for id, fields in entries:
            return Owner(EntryId.parse(id).attempt, field(fields, b"writer").decode())
        return None
