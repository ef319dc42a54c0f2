"""The streams that a Redis knows of, and how they are doing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from streamfan.errors import SinkError, WireError
from streamfan.events import End, Start, decode, is_stream_id
from streamfan.redis.batch import accept
from streamfan.redis.client import check_client
from streamfan.redis.entries import held
from streamfan.redis.errors import OtherType
from streamfan.redis.names import Names, check_prefix, index
from streamfan.redis.servers import Servers
from streamfan.subscriber import history
from streamfan.subscriber.faults import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from streamfan.events import Event
    from streamfan.redis.address import Address
    from streamfan.redis.connection import Command, Connection

# Streams that are asked about in one go.
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentStream:
    """A stream that a Redis knows of.

    Attributes:
        state: "running"; how it ended ("stop", "length", "cancelled", "error"); "lost" where its producer has not shown
            lately that it lives; "forgotten" where only its name is left.
        opened: When it was opened; None where that was trimmed.
        bytes: UTF-8 bytes of its text so far.
    """

    id: str
    state: str
    model: str | None = None
    opened: datetime | None = None
    bytes: int = 0


def recent(address: Address, prefix: str = "streamfan", count: int = 50) -> list[RecentStream]:
    """The `count` streams of which something was known last, the latest first.

    Raises:
        UsageError: A malformed prefix.
        MissingExtra: redis-py is not installed.
        ServerError: The server does not answer, or refuses.
    """
    check_client("a list of streams")
    check_prefix(prefix)
    servers = Servers(address)
    try:
        key = index(prefix)
        found = servers.at(key).command("ZREVRANGE", key, 0, count - 1)
        ids = [id for id in (each.decode(errors="replace") for each in found) if is_stream_id(id)]
        return _recent(servers, [Names(prefix, id) for id in ids])
    except SinkError as error:
        raise told(error) from None
    finally:
        servers.close()


def _recent(servers: Servers, streams: Sequence[Names]) -> list[RecentStream]:
    seen = _ask(servers, streams, _look)
    newest = {names: history.entries(last)[0] for names, (_, last) in seen.items() if last}
    starts = _ask(servers, newest, lambda names: (_first(names, newest[names][0].attempt),))
    return [
        _told(names, seen[names][0], newest[names][1], starts[names][0])
        if names in newest
        else RecentStream(id=names.stream, state="forgotten")
        for names in streams
    ]


def _ask(
    servers: Servers, streams: Iterable[Names], question: Callable[[Names], Sequence[Command]]
) -> dict[Names, list[Any]]:
    """What the servers say of each stream, many of which are asked about in one go; None of what is something else."""
    by_connection: dict[Connection, list[Names]] = {}
    for names in streams:
        by_connection.setdefault(servers.at(names.log), []).append(names)
    said: dict[Names, list[Any]] = {}
    for connection, there in by_connection.items():
        for first in range(0, len(there), _BATCH):
            batch = there[first : first + _BATCH]
            answers = connection.answers(*chain.from_iterable(map(question, batch)))
            # A key of a stream's name that is something else must not hide the others.
            answers = [None if isinstance(answer, OtherType) else answer for answer in answers]
            accept(answers)
            each = iter(answers)
            said |= {names: [next(each) for _ in question(names)] for names in batch}
    return said


def _look(names: Names) -> tuple[Command, ...]:
    return (("GET", names.lease), history.newest(names))


def _first(names: Names, attempt: int) -> Command:
    return ("XRANGE", names.log, f"{attempt}-0", "+", "COUNT", 1)


def _told(names: Names, lease: bytes | None, last: bytes, first: Sequence[Any] | None) -> RecentStream:
    event, start = _event(last), _start(first)
    return RecentStream(
        id=names.stream,
        state=event.finish_reason if isinstance(event, End) else "running" if lease is not None else "lost",
        model=None if start is None else start.model,
        opened=None if start is None else start.time,
        bytes=held(event),
    )


def _start(answer: Sequence[Any] | None) -> Start | None:
    for _, data in history.entries(answer or ()):
        event = _event(data)
        return event if isinstance(event, Start) else None
    return None


def _event(data: bytes) -> Event | None:
    try:
        return decode(data)
    except WireError:
        return None
