"""The log of one stream in Redis, as its one writer sees it.

The log is the truth. Its entries have the ids that the offsets give them, so the server itself refuses an entry that is
there already, and one of an attempt that another has taken over from.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from streamfan.errors import Permanent, Retryable
from streamfan.events import End, Start, encode
from streamfan.redis.batch import accept, readable
from streamfan.redis.connection import milliseconds
from streamfan.redis.entries import id_of
from streamfan.redis.names import EntryId
from streamfan.sinks.redis.lookup import Lookup, belongs, entries_of
from streamfan.sinks.redis.owner import was_later

if TYPE_CHECKING:
    from streamfan.events import Event, Text
    from streamfan.redis.batch import Answers, Batch
    from streamfan.redis.connection import Command, Connection
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions
    from streamfan.sinks.redis.presence import Presence

# The doorbell rings only if the log has the event; MULTI would ring also where XADD was refused. What is asked of the
# producer comes back with the same answer; a key of another type asks nothing, and the log has the event all the same.
_APPEND = """
local id = redis.pcall('XADD', KEYS[1], {flags}'MAXLEN', '~', {history}, ARGV[2], 'event', ARGV[3])
if type(id) ~= 'string' then return id end
{care}redis.call('{publish}', ARGV[1], ARGV[3])
local request = KEYS[2] and redis.pcall('GET', KEYS[2]) or false
return {{id, type(request) == 'table' and '' or request}}
"""
# Without it a server that came back empty would take the next entry, and leave a hole before it.
_ONLY_IF_THERE = "NOMKSTREAM"
# A log whose text is bounded is cut each time that it has grown by this part of what is to be kept.
_OVERSHOOT = 8


class Log:
    """The entries of one attempt's log, and the channel that tells of them; for one connection.

    What goes wrong is a `SinkError`: `Permanent` where another writer has taken over. A `WireError` is raised where
    somebody else has written into the log what is no event.

    Attributes:
        usable: Whether it has been opened and, as far as is known, has not vanished since.
        ids_ahead: How many more token ids came with the text that was compared than with what it was compared with.
    """

    def __init__(self, connection: Connection, names: Names, presence: Presence, options: RedisOptions) -> None:
        self.usable = False
        self.ids_ahead = 0
        self._connection = connection
        self._names = names
        self._claim = presence.claim
        self._requests = presence.requests
        self._options = options
        self._last_id: EntryId | None = None
        self._ended = False
        self._trimmed = 0
        self._publishes = options.mode == "both"
        # A new log expires in any case: when this connection breaks, nobody may be left to say so.
        self._lifetime = milliseconds(options.ttl + options.lease)
        # What is the same for each entry stands in the script: arguments are what takes time here.
        self._scripts = tuple(
            _APPEND.format(flags=flags, history=options.history, care=care, publish=connection.publish)
            for flags, care in (
                (f"'{_ONLY_IF_THERE}', ", ""),
                ("", f"redis.call('PEXPIRE', KEYS[1], {self._lifetime})\n"),
            )
        )

    @property
    def questions(self) -> tuple[Command, ...]:
        """Asks for the last event, and for the first of this attempt."""
        return (self._newest, self._first)

    def find(self, answers: Answers) -> Event | None:
        """Take the answers to `questions`; returns the last event of this attempt, None if there is none."""
        accept(answers)
        newest, started = answers
        attempt = self._claim.owner.attempt
        for last in entries_of(newest):
            id, event = last
            if id.attempt > attempt:
                raise self._claim.lost(id.attempt)
            # The claim of whoever has begun the attempt may have been lost.
            self._check_writer(started)
            if id.attempt == attempt:
                if not belongs(last):
                    raise self._written(id)
                self._last_id, self._ended = id, isinstance(event, End)
                return event
        return None

    def put(self, event: Start | Text | End, batch: Batch) -> None:
        """Append `event` with `batch`, once, and then publish it."""
        id, data = id_of(event), encode(event)
        if self._last_id is None or self._last_id < id:
            if self._ended:
                raise self._written(id)
            add = batch.add if self._scripted or id.sequence else batch.add_together
            add(self._entry(id, data), partial(self._put, event, data))
        else:
            # It should be there: an end whose reply was lost, or what another sink of this program has brought.
            lookup = Lookup(self._names.log, event)
            batch.add(lookup.questions, partial(self._confirm, lookup, data))

    def conclude(self, end: End, batch: Batch) -> None:
        """Append the end with `batch`, once, and see that nobody else has begun the log anew meanwhile."""
        self.put(end, batch)
        batch.add((self._claim.question, self._first), self._concluded)

    def _entry(self, id: EntryId, data: bytes) -> list[Command]:
        """Appends an entry, asks what is wanted of the producer, and keeps the log in bounds."""
        log, cancel, control = self._names.log, self._names.cancel, self._options.control
        begins = id.sequence == 0
        if self._scripted:
            keys = (log, cancel) if control else (log,)
            script = self._scripts[begins]
            return [("EVAL", script, len(keys), *keys, self._names.live, str(id), data), *self._cut(id)]
        flags = () if begins else (_ONLY_IF_THERE,)
        entry = (*flags, "MAXLEN", "~", self._options.history, str(id), "event", data)
        question: list[Command] = [("GET", cancel)] if control else []
        care = [("PEXPIRE", log, self._lifetime)] if begins else self._cut(id)
        return [("XADD", log, *entry), *question, *care]

    def _put(self, event: Start | Text | End, data: bytes, answers: Answers) -> None:
        """Take the answers to the commands of an entry."""
        first, *others = answers[0], *map(readable, answers[1:])
        if was_later((first, *others)):
            self._stored(*(first or (None, None)) if self._scripted else (first, others[0] if others else None))
        else:
            self._settle(Lookup(self._names.log, event))
        if self._rings:
            self._connection.command(*self._ringing(data))

    def _stored(self, id: bytes | None, request: bytes | None) -> None:
        if id is None:
            raise self._vanished()
        if self._options.control:
            self._requests.hear(request)

    @property
    def _scripted(self) -> bool:
        return self._publishes and self._connection.scripts

    @property
    def _rings(self) -> bool:
        """Whether publishing takes a command of its own, once the log has the event."""
        return self._publishes and not self._connection.scripts

    def _ringing(self, data: bytes) -> Command:
        return (self._connection.publish, self._names.live, data)

    def _cut(self, id: EntryId) -> list[Command]:
        """What cuts the log where it has grown so much that it is to be cut beside this entry."""
        options = self._options
        if options.history_bytes is None:
            return []
        superfluous = id.sequence - options.history_bytes
        if superfluous - self._trimmed < options.history_bytes // _OVERSHOOT:
            return []
        self._trimmed = superfluous
        return [("XTRIM", self._names.log, "MINID", "~", str(EntryId(id.attempt, superfluous)))]

    def _settle(self, lookup: Lookup) -> None:
        """An entry was refused as not later than the last one: find out whether that is because it is there."""
        newest, owner, *answers = self._connection.pipeline(self._newest, self._claim.question, *lookup.questions)
        last = EntryId.parse(newest[0][0]) if newest else None
        if last is None or last < lookup.id:
            why = f"refuses entry {lookup.id}, but its last is {last or 'none'}: somebody has deleted entries"
            raise self._spoilt(why)
        self._claim.check(owner)
        if last.attempt > lookup.id.attempt:
            raise self._claim.lost(last.attempt)
        if not lookup.holds(answers):
            raise self._written(lookup.id)

    def _confirm(self, lookup: Lookup, data: bytes, answers: Answers) -> None:
        """Take the answers to the questions of what should be there already, and publish it where nobody else has."""
        accept(answers)
        if not lookup.reaches(answers):
            raise self._vanished()
        if not lookup.holds(answers):
            raise self._written(lookup.id)
        self.ids_ahead += lookup.ids_ahead(answers)
        if self._rings:
            self._connection.command(*self._ringing(data))

    def _concluded(self, answers: Answers) -> None:
        accept(answers)
        owner, started = answers
        self._claim.check(owner)
        self._check_writer(started)

    def _check_writer(self, started: Any) -> None:
        """Whoever has begun the attempt has it; a log that does not go back so far says nothing."""
        for _, event in entries_of(started):
            if isinstance(event, Start) and event.writer != self._claim.owner.writer:
                raise self._claim.lost(self._claim.owner.attempt, event.writer)

    def _vanished(self) -> Retryable:
        self.usable = False
        return Retryable(f"Redis at {self._connection.address}: {self._names.log!r} has vanished")

    def _written(self, id: EntryId) -> Permanent:
        return self._spoilt(f"does not hold our entry {id}: somebody has written entries")

    def _spoilt(self, why: str) -> Permanent:
        log = self._names.log
        return Permanent(f"Redis at {self._connection.address}: {log!r} {why}\nTry: redis-cli DEL '{log}'")

    @property
    def _first(self) -> Command:
        start = str(EntryId(self._claim.owner.attempt, 0))
        return ("XRANGE", self._names.log, start, start)

    @property
    def _newest(self) -> Command:
        return ("XREVRANGE", self._names.log, "+", "-", "COUNT", 1)
