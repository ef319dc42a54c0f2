"""The keys of one stream in Redis, as its one writer sees them.

The log is the truth. Its entries have the ids that the offsets give them, so the server itself refuses an entry that is
there already, and one of an attempt that another has taken over from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.events import End, Start, Text, decode, encode
from streamfan.redis.connection import Refused
from streamfan.redis.names import EntryId, Names

if TYPE_CHECKING:
    from streamfan.events import Event, StreamInfo
    from streamfan.redis.connection import Argument, Connection

# The doorbell rings only if the log has the event. MULTI would ring also where XADD was refused.
_APPEND = """
local id = redis.pcall('XADD', KEYS[1], unpack(ARGV, 2))
if type(id) == 'string' then redis.call('PUBLISH', ARGV[1], ARGV[#ARGV]) end
return id
"""
_NOT_LATER = "equal or smaller"
# The attempt key outlives the log by this: a writer that was away for so long takes over from nobody unnoticed.
_ATTEMPT_OUTLIVES = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and for how long.

    Attributes:
        history: About how many of its events a log keeps.
        ttl: Seconds that a log is kept after its end.
        lease: Seconds without a sign of life after which a producer counts as lost.
    """

    history: int
    ttl: float
    lease: float


class Owner(NamedTuple):
    """An attempt and its writer; of two, the one with the later attempt owns the stream."""

    attempt: int
    writer: str

    def __str__(self) -> str:
        return f"attempt {self.attempt} of writer {self.writer!r}"


class Log:
    """A stream's log and what belongs to it, written over one connection.

    Every method raises a `SinkError`: `Permanent` where another writer has taken over.
    """

    def __init__(self, connection: Connection, names: Names, stream: StreamInfo, limits: Limits) -> None:
        self._connection = connection
        self._names = names
        self._stream = stream
        self._owner = Owner(stream.attempt, stream.writer)
        self._limits = limits
        self._last_id: EntryId | None = None
        self._opened = False
        self._vanished = False

    @property
    def usable(self) -> bool:
        """Whether it was opened, and what was learnt then still holds."""
        return self._opened and self._connection.alive and not self._vanished

    def open(self) -> Event:
        """Take the stream over from older attempts, and return the last event of this attempt: at least its start."""
        self._claim()
        # The lease is there before the log: a log with neither lease nor end is that of a producer that was lost.
        self.renew()
        last = self._last()
        if last is not None and last[0].attempt == self._owner.attempt:
            self._last_id, event = last
        else:
            event = Start.of(self._stream)
            self._append(0, event)
        self._opened = True
        return event

    def append(self, event: Text | End) -> None:
        """Append `event`, once, and then publish it."""
        self._append(event.end if isinstance(event, Text) else event.offset + 1, event)

    def renew(self) -> None:
        """Show that the producer lives, and keep everything for as long as it does."""
        newest = self._newest()
        if newest is not None and newest != self._owner and newest.attempt >= self._owner.attempt:
            raise self._fenced(newest.attempt)
        self._connection.pipeline(
            ("SET", self._names.lease, self._lease, "PX", _ms(self._limits.lease)),
            *self._expiries(self._limits.ttl + self._limits.lease),
        )

    def finish(self) -> None:
        """Give the lease back; everything else is kept for `ttl` from now."""
        lease, *_ = self._connection.pipeline(("GET", self._names.lease), *self._expiries(self._limits.ttl))
        if lease == self._lease.encode():
            self._connection.command("DEL", self._names.lease)

    @property
    def _lease(self) -> str:
        return f"{self._owner.attempt} {self._owner.writer}"

    def _expiries(self, seconds: float) -> tuple[tuple[Argument, ...], ...]:
        return (
            ("PEXPIRE", self._names.log, _ms(seconds)),
            ("PEXPIRE", self._names.attempt, _ms(seconds + _ATTEMPT_OUTLIVES)),
        )

    def _claim(self) -> None:
        newest = self._newest()
        if newest is not None and newest.attempt >= self._owner.attempt:
            return
        attempt, writer = self._owner
        try:
            self._connection.command("XADD", self._names.attempt, "MAXLEN", 1, f"{attempt}-0", "writer", writer)
        except Refused as error:
            # Somebody was quicker: who that is comes out when the lease is to be renewed.
            if _NOT_LATER not in str(error):
                raise

    def _append(self, sequence: int, event: Event) -> None:
        id = EntryId(self._owner.attempt, sequence)
        data = encode(event)
        # Else it is there already: an end whose reply was lost, or what another sink of this program has brought.
        if self._last_id is None or self._last_id < id:
            self._add(id, data)
        if not self._connection.scripts:
            self._connection.command("PUBLISH", self._names.live, data)

    def _add(self, id: EntryId, data: bytes) -> None:
        log, is_start = self._names.log, id.sequence == 0
        # Without NOMKSTREAM a server that came back empty would take the next entry, and leave a hole before it.
        flags = () if is_start else ("NOMKSTREAM",)
        xadd = ("XADD", log, *flags, "MAXLEN", "~", self._limits.history, str(id), "event", data)
        scripted = ("EVAL", _APPEND, 1, log, self._names.live, *xadd[2:])
        # A new log expires in any case: when this connection breaks, nobody may be left to say so.
        expiry = [("PEXPIRE", log, _ms(self._limits.ttl + self._limits.lease))] if is_start else []
        try:
            stored, *_ = self._connection.pipeline(scripted if self._connection.scripts else xadd, *expiry)
        except Refused as error:
            if _NOT_LATER not in str(error):
                raise
            self._settle(id)
            return
        if stored is None:
            self._vanished = True
            raise Retryable(f"Redis at {self._connection.address}: {log!r} has vanished")

    def _settle(self, id: EntryId) -> None:
        """An entry was refused as not later than the last one: find out whether that is because it is there."""
        last = self._last()
        if last is None or last[0] < id:
            raise Permanent(
                f"Redis at {self._connection.address}: {self._names.log!r} refuses entry {id}, "
                f"but its last is {last[0] if last else 'none'}: somebody has deleted entries\n"
                f"Try: redis-cli DEL '{self._names.log}'"
            )
        if last[0].attempt > id.attempt:
            raise self._fenced(last[0].attempt)

    def _fenced(self, attempt: int) -> SinkError:
        newest = self._newest()
        other = newest if newest is not None and newest.attempt >= attempt else f"attempt {attempt}"
        ahead = attempt / 1000 - time.time()
        clock = f"; that is {ahead:.0f} s ahead of the clock here, which may be behind" if ahead > 1 else ""
        return Permanent(f"stream {self._stream.id!r}: {other} has taken over from {self._owner}{clock}")

    def _newest(self) -> Owner | None:
        entries = self._connection.command("XREVRANGE", self._names.attempt, "+", "-", "COUNT", 1)
        for id, fields in entries:
            return Owner(EntryId.parse(id).attempt, fields[1].decode())
        return None

    def _last(self) -> tuple[EntryId, Event] | None:
        entries = self._connection.command("XREVRANGE", self._names.log, "+", "-", "COUNT", 1)
        for id, fields in entries:
            return EntryId.parse(id), decode(fields[1])
        return None


def held(last: Event) -> int:
    """How many bytes of the text a log holds that ends with `last`."""
    return last.end if isinstance(last, Text) else last.offset if isinstance(last, End) else 0


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
