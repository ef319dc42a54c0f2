"""The log of one stream in Redis, as its one writer sees it.

The log is the truth. Its entries have the ids that the offsets give them, so the server itself refuses an entry that is
there already, and one of an attempt that another has taken over from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamfan.errors import Permanent, Retryable
from streamfan.events import End, Start, Text, decode, encode
from streamfan.redis.entries import field
from streamfan.redis.errors import Refused
from streamfan.redis.names import EntryId
from streamfan.sinks.redis.owner import NOT_LATER
from streamfan.sinks.redis.presence import milliseconds

if TYPE_CHECKING:
    from streamfan.events import Event
    from streamfan.redis.connection import Argument, Connection
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions
    from streamfan.sinks.redis.owner import Claim
    from streamfan.sinks.redis.requests import Requests

# The doorbell rings only if the log has the event; MULTI would ring also where XADD was refused. What is asked of the
# producer comes back with the same answer.
_APPEND = """
local id = redis.pcall('XADD', KEYS[1], unpack(ARGV, 3))
if type(id) ~= 'string' then return id end
redis.call(ARGV[1], ARGV[2], ARGV[#ARGV])
return {id, KEYS[2] and redis.call('GET', KEYS[2]) or false}
"""
# A log whose text is bounded is cut each time that it has grown by this part of what is to be kept.
_OVERSHOOT = 8


class Log:
    """The entries of one attempt's log, and the channel that tells of them; for one connection.

    Every method raises a `SinkError`: `Permanent` where another writer has taken over.

    Attributes:
        usable: Whether it was opened and, as far as is known, has not vanished since.
    """

    def __init__(
        self, connection: Connection, names: Names, claim: Claim, options: RedisOptions, requests: Requests
    ) -> None:
        self.usable = False
        self._connection = connection
        self._names = names
        self._claim = claim
        self._options = options
        self._requests = requests
        self._last_id: EntryId | None = None
        self._trimmed = 0
        self._publishes = options.mode == "both"

    def open(self, start: Start) -> Event:
        """Begin with `start` unless that has been done; returns the last event of this attempt."""
        last = self._last()
        if last is not None and last[0].attempt == start.attempt:
            self._last_id, event = last
        else:
            event = start
            self._append(0, event)
        self.usable = True
        return event

    def append(self, event: Text | End) -> None:
        """Append `event`, once, and then publish it."""
        self._append(event.end if isinstance(event, Text) else event.offset + 1, event)

    def writer(self) -> str | None:
        """Who has begun this attempt; None if nobody has, or the log does not go back so far."""
        id = str(EntryId(self._claim.owner.attempt, 0))
        for _, fields in self._connection.command("XRANGE", self._names.log, id, id):
            event = decode(field(fields, b"event"))
            return event.writer if isinstance(event, Start) else None
        return None

    def _append(self, sequence: int, event: Event) -> None:
        id = EntryId(self._claim.owner.attempt, sequence)
        data = encode(event)
        # Else it is there already: an end whose reply was lost, or what another sink of this program has brought.
        if self._last_id is None or self._last_id < id:
            self._add(id, data)
        if self._publishes and not self._connection.scripts:
            self._connection.command(self._connection.publish, self._names.live, data)

    def _add(self, id: EntryId, data: bytes) -> None:
        try:
            stored, request = self._send(id, data)
        except Refused as error:
            if NOT_LATER not in str(error):
                raise
            self._settle(id)
            return
        if stored is None:
            self.usable = False
            raise Retryable(f"Redis at {self._connection.address}: {self._names.log!r} has vanished")
        self._requests.hear(request)

    def _send(self, id: EntryId, data: bytes) -> tuple[Any, Any]:
        """Append an entry; returns its id, None if there is no log, and what is asked of the producer."""
        log, cancel, control = self._names.log, self._names.cancel, self._options.control
        # Without NOMKSTREAM a server that came back empty would take the next entry, and leave a hole before it.
        flags = () if id.sequence == 0 else ("NOMKSTREAM",)
        entry = (*flags, "MAXLEN", "~", self._options.history, str(id), "event", data)
        if self._publishes and self._connection.scripts:
            keys = (log, cancel) if control else (log,)
            scripted = ("EVAL", _APPEND, len(keys), *keys, self._connection.publish, self._names.live, *entry)
            stored, *_ = self._connection.pipeline(scripted, *self._care(id))
            return stored or (None, None)
        question = [("GET", cancel)] if control else []
        stored, *answers = self._connection.pipeline(("XADD", log, *entry), *question, *self._care(id))
        return stored, answers[0] if control else None

    def _care(self, id: EntryId) -> list[tuple[Argument, ...]]:
        """What the log needs beside the entry: a new one an end of its life, one that has grown a cut."""
        options = self._options
        if id.sequence == 0:
            # A new log expires in any case: when this connection breaks, nobody may be left to say so.
            return [("PEXPIRE", self._names.log, milliseconds(options.ttl + options.lease))]
        if options.history_bytes is None:
            return []
        superfluous = id.sequence - options.history_bytes
        if superfluous - self._trimmed < options.history_bytes // _OVERSHOOT:
            return []
        self._trimmed = superfluous
        return [("XTRIM", self._names.log, "MINID", "~", str(EntryId(id.attempt, superfluous)))]

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
            raise self._claim.lost(last[0].attempt)
        self._claim.check()

    def _last(self) -> tuple[EntryId, Event] | None:
        entries = self._connection.command("XREVRANGE", self._names.log, "+", "-", "COUNT", 1)
        for id, fields in entries:
            return EntryId.parse(id), decode(field(fields, b"event"))
        return None
