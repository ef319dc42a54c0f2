"""The streams that a Redis knows of, and how they are doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamfan.errors import SinkError, WireError
from streamfan.events import End, Start, decode, is_stream_id
from streamfan.redis.entries import held
from streamfan.redis.errors import Refused
from streamfan.redis.names import Names, check_prefix, index
from streamfan.redis.servers import Servers
from streamfan.subscriber import history
from streamfan.subscriber.faults import check_client, told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from streamfan.events import Event
    from streamfan.redis.address import Address


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
        return [_recent(servers, Names(prefix, id)) for id in ids]
    except SinkError as error:
        raise told(error) from None
    finally:
        servers.close()


def _recent(servers: Servers, names: Names) -> RecentStream:
    try:
        lease, last = servers.at(names.log).pipeline(("GET", names.lease), history.newest(names))
    except Refused as error:
        # A key of this name that is something else must not hide the others.
        if history.OTHER_TYPE not in str(error):
            raise
        lease, last = None, []
    found = history.entries(last)
    if not found:
        return RecentStream(id=names.stream, state="forgotten")
    newest, event = found[0][0], _event(found[0][1])
    first = servers.at(names.log).command("XRANGE", names.log, f"{newest.attempt}-0", "+", "COUNT", 1)
    start = _start(first)
    return RecentStream(
        id=names.stream,
        state=event.finish_reason if isinstance(event, End) else "running" if lease is not None else "lost",
        model=None if start is None else start.model,
        opened=None if start is None else start.time,
        bytes=held(event),
    )


def _start(answer: Sequence[Any]) -> Start | None:
    for _, data in history.entries(answer):
        event = _event(data)
        return event if isinstance(event, Start) else None
    return None


def _event(data: bytes) -> Event | None:
    try:
        return decode(data)
    except WireError:
        return None
