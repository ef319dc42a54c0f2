"""Events of one stream made by hand, for tests of those who read them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from streamfan.events import End, Event, Start, Text, encode
from streamfan.redis.names import EntryId
from tests.support.chunks import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.subscriber.reader import Reader

STREAM = "s"
ATTEMPT = 7


def start(attempt: int = ATTEMPT) -> Start:
    """The start of the stream."""
    return Start(stream=STREAM, attempt=attempt, writer="w", time=TIME)


def text(offset: int, text: str, attempt: int = ATTEMPT, **changes: Any) -> Text:
    """What of its text begins at `offset`."""
    values = {"offset": offset, "end": offset + len(text.encode()), "text": text, **changes}
    return Text(stream=STREAM, attempt=attempt, time=TIME, **values)


def end(whole: str, attempt: int = ATTEMPT, **changes: Any) -> End:
    """The end of the stream, which was `whole`."""
    data = whole.encode()
    values = {"offset": len(data), "sha256": hashlib.sha256(data).hexdigest(), "finish_reason": "stop", **changes}
    return End(stream=STREAM, attempt=attempt, duration=1.5, time=TIME, **values)


def entry(event: Event) -> tuple[EntryId, bytes]:
    """`event` as the log has it."""
    match event:
        case Start():
            sequence = 0
        case End():
            sequence = event.offset + 1
        case _:
            sequence = event.end
    return EntryId(event.attempt, sequence), encode(event)


def page(events: Iterable[Event]) -> list[tuple[EntryId, bytes]]:
    """Events as the log has them."""
    return [entry(event) for event in events]


def taken(reader: Reader) -> list[Event | BaseException]:
    """What a reader has in its mailbox, as its subscriber takes it."""
    items, _ = reader.mailbox.take()
    return items
