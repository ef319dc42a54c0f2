"""Whether a log holds what was to be written, where it was not this command that has put it there.

That an entry was refused says only that there is a later one. It may be there since a reply was lost, or have come from
another sink of this program, which may have cut the same text into other pieces. Or somebody else has written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamfan.events import End, Start, Text, decode
from streamfan.redis.entries import field, id_of
from streamfan.redis.names import EntryId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import Event
    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Command

# The last entry that an attempt can have.
_LAST = 2**64 - 1

Entry = tuple[EntryId, "Event"]


class Lookup:
    """What is to be known of a log to say whether it holds `event`."""

    def __init__(self, log: str, event: Start | Text | End) -> None:
        self.id = id = id_of(event)
        self._event = event
        self._ids = event.token_ids if isinstance(event, Text) else ()
        start, last = EntryId(id.attempt, 0), EntryId(id.attempt, _LAST)
        first = id._replace(sequence=event.offset + 1) if isinstance(event, Text) else id
        self.questions: tuple[Command, ...] = (
            ("XRANGE", log, str(start), str(start)),
            ("XRANGE", log, str(first), str(id)),
            # It may hold the end of the text, if it is one.
            ("XRANGE", log, str(id._replace(sequence=id.sequence + 1)), str(last), "COUNT", 1),
        )

    def reaches(self, answers: Answers) -> bool:
        """Whether the log reaches as far as the event."""
        return bool(answers[1] or answers[2])

    def holds(self, answers: Answers) -> bool:
        """Whether the log holds the event, or all of its text; what a bounded log has forgotten, it has held."""
        started, there, behind = (entries_of(answer) for answer in answers)
        match self._event:
            case Start(writer=writer):
                return any(isinstance(event, Start) and event.writer == writer for _, event in there)
            case End() as end:
                return any(isinstance(event, End) and _same(event, end) for _, event in there)
            case text:
                return _covered(text, (*there, *behind), forgotten=not started)

    def ids_ahead(self, answers: Answers) -> int:
        """How many more token ids the entries have than the event; less than none, if they have fewer."""
        events = (event for _, event in entries_of(answers[1]))
        return sum(len(event.token_ids) for event in events if isinstance(event, Text)) - len(self._ids)


def belongs(entry: Entry) -> bool:
    """Whether an entry's id is the one that its event gives it."""
    id, event = entry
    return isinstance(event, Start | Text | End) and id == id_of(event)


def entries_of(answer: Any) -> list[Entry]:
    """The entries that a server has answered with."""
    return [(EntryId.parse(id), decode(field(fields, b"event"))) for id, fields in answer]


def _same(one: End, other: End) -> bool:
    return (one.offset, one.finish_reason, one.sha256) == (other.offset, other.finish_reason, other.sha256)


def _covered(text: Text, entries: Iterable[Entry], *, forgotten: bool) -> bool:
    """Whether the entries hold all of `text`; only its beginning may be `forgotten`."""
    position = text.offset
    for entry in entries:
        _, event = entry
        if position >= text.end:
            break
        if not isinstance(event, Text) or not belongs(entry):
            return False
        if event.offset > position:
            if not forgotten:
                return False
            position = min(event.offset, text.end)
        forgotten = False
        stop = min(event.end, text.end)
        if _part(event, position, stop) != _part(text, position, stop):
            return False
        position = max(position, stop)
    return position >= text.end


def _part(text: Text, begin: int, end: int) -> bytes:
    return text.text.encode()[begin - text.offset : end - text.offset]
