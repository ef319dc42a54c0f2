"""What an entry of a log says, for whoever writes it and for whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.events import End, Start, Text
from streamfan.redis.names import EntryId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.events import Event


def field(fields: Sequence[bytes], name: bytes) -> bytes:
    """The field called `name` of an entry, whose fields alternate with their values; empty if there is none."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(name, b"")


def id_of(event: Event) -> EntryId:
    """Where an event stands in its log."""
    match event:
        case Start():
            return EntryId(event.attempt, 0)
        case End():
            return EntryId(event.attempt, event.offset + 1)
    return EntryId(event.attempt, event.end)


def held(last: Event | None) -> int:
    """How many bytes of the text a log holds that ends with `last`."""
    return last.end if isinstance(last, Text) else last.offset if isinstance(last, End) else 0
