"""What is sent: events as messages, with ids by which a receiver knows them again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.events import End, Start, Text, encode

if TYPE_CHECKING:
    from streamfan.events import Event

Key = tuple[str, int]
"""A stream's id and attempt."""

_REMEMBERED = 4096
"""How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
longest is forgotten; if it does come back, its start event is sent again under the same id."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, and sent again; the id tells a receiver that it is the same."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a stream whose start event has been taken.

    Attributes:
        doubtful: The message whose fate is unknown, if there is one.
        held: How many bytes the receiver has said it holds, until somebody has acted upon it.
    """

    doubtful: Message | None = None
    held: int | None = None


class Streams:
    """The streams that a receiver has taken the start event of, and what is known of each."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._sent: dict[Key, int] = {}

    def begun(self, stream: Key) -> bool:
        """Whether the start event has been taken."""
        return stream in self._known

    def begin(self, stream: Key) -> None:
        """The start event has been taken."""
        self._note(stream, _Known())

    def message(self, event: Text | End) -> Message:
        """The message for `event`: the very one that is in doubt, if it is about the same.

        It is in doubt until `taken` or `moved` says otherwise.
        """
        stream, id = (event.stream, event.attempt), message_id(event)
        known = self._known.get(stream, _Known())
        message = known.doubtful if known.doubtful and known.doubtful.id == id else Message(id, encode(event))
        self._note(stream, _Known(message))
        self._sent[stream] = max(self.sent(stream), event.end if isinstance(event, Text) else event.offset)
        return message

    def sent(self, stream: Key) -> int:
        """How many bytes of the text were sent at most."""
        return self._sent.get(stream, 0)

    def taken(self, stream: Key) -> None:
        """The receiver has taken the message that was in doubt."""
        self._note(stream, _Known())

    def moved(self, stream: Key, held: int) -> None:
        """The receiver has said how many bytes it holds, which leaves no message in doubt."""
        self._note(stream, _Known(held=held))

    def held(self, stream: Key) -> int | None:
        """How many bytes the receiver has said it holds; None if it has not, or this was asked before."""
        known = self._known.get(stream)
        if known is None or known.held is None:
            return None
        self._note(stream, _Known())
        return known.held

    def forget(self, stream: Key) -> None:
        """Nothing more will be sent of this stream."""
        self._known.pop(stream, None)
        self._sent.pop(stream, None)

    def _note(self, stream: Key, known: _Known) -> None:
        self._known[stream] = known
        self._known.move_to_end(stream)
        if len(self._known) > _REMEMBERED:
            forgotten, _ = self._known.popitem(last=False)
            self._sent.pop(forgotten, None)


def message_id(event: Event) -> str:
    """The same for the same piece of text, and another one for any other.

    It has no dot, which separates the id from the rest where it is signed.
    """
    match event:
        case Start():
            what = "start"
        case End():
            # A receiver may have refused the end of the whole text, and get another one once text has been given up.
            what = "end" if event.complete else "incomplete"
        case _:
            what = f"{event.offset}-{event.end}"
    return f"{event.stream}_{event.attempt}_{what}"
