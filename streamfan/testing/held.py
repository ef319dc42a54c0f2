"""What a destination holds of a stream, as its reader sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.events import End, Event, Text
from streamfan.sink import Delivery, Sink
from streamfan.testing.promises import broken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.events import StreamInfo

Piece = tuple[int, str]
"""A piece of text with its offset, in UTF-8 bytes."""

Record = Event | Piece
"""What a destination may hold: an event, or no more of it than offset and text."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a destination holds of one attempt at a stream.

    Attributes:
        text: All of it, as it came.
        distinct: The same, but a piece that was repeated as it was counts once.
        pieces: As they came; None where the destination keeps the text alone.
        ends: The end events; empty where the destination keeps none.
        records: All of it, as it came; empty where the destination keeps the text alone.
    """

    text: str
    distinct: str
    pieces: tuple[Piece, ...] | None = None
    ends: tuple[End, ...] = ()
    records: tuple[Record, ...] = ()

    @classmethod
    def of(cls, received: str | Iterable[Record], stream: StreamInfo) -> Held:
        """What `received` says; events of other streams and attempts do not count."""
        if isinstance(received, str):
            return cls(received, received)
        records = [each for each in received if isinstance(each, tuple) or _is_of(each, stream)]
        found = [_piece(each) for each in records if isinstance(each, tuple | Text)]
        return cls(
            "".join(text for _, text in found),
            "".join(text for _, text in dict.fromkeys(found)),
            tuple(found),
            tuple(each for each in records if isinstance(each, End)),
            tuple(records),
        )

    def read(self) -> str:
        """The text by the rule of the wire format: what is there already is dropped, a gap breaks a promise."""
        if self.pieces is None:
            return self.text
        data = b""
        for offset, text in self.pieces:
            piece = text.encode()
            if offset > len(data):
                broken(f"bytes {len(data)} to {offset} are missing before {text!r}", Sink.write)
            data += piece[len(data) - offset :]
        return data.decode()

    def check_ends(self, delivery: Delivery) -> None:
        """Refuse an end that must not be there twice."""
        if delivery is Delivery.EXACTLY_ONCE and len(self.ends) > 1:
            broken(f"the end is there {len(self.ends)} times", delivery)
        if delivery is Delivery.AT_LEAST_ONCE and any(end != self.ends[0] for end in self.ends):
            broken(f"the end was repeated with other contents: {self.ends}", delivery)

    def check_pieces(self, delivery: Delivery) -> None:
        """Refuse text that must not be there twice, or that was repeated as something else."""
        position, seen = 0, set[Piece]()
        for offset, text in self.pieces or ():
            again = offset < position
            if again and delivery is not Delivery.AT_LEAST_ONCE:
                broken(f"{text!r} at offset {offset} is there for the second time", delivery)
            if again and (offset, text) not in seen:
                broken(f"a piece was repeated as {(offset, text)}, with another offset or other bytes", delivery)
            seen.add((offset, text))
            position = max(position, offset + len(text.encode()))


def _is_of(event: Event, stream: StreamInfo) -> bool:
    return (event.stream, event.attempt) == (stream.id, stream.attempt)


def _piece(record: Piece | Text) -> Piece:
    return (record.offset, record.text) if isinstance(record, Text) else record
