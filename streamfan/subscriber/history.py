"""What a server holds of a stream: the commands that ask for it, and what their answers mean."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Any

from streamfan.errors import WireError
from streamfan.events import End, decode
from streamfan.redis.entries import field
from streamfan.redis.lease import Lease
from streamfan.redis.names import EntryId
from streamfan.subscriber.watch import Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.redis.connection import Command
    from streamfan.redis.names import Names

log = logging.getLogger("streamfan.subscriber")

PAGE = 128
"""Entries of a log that are asked for at once, at most."""

_PAGE_BYTES = 256 * 1024

DEFAULT_LEASE = 20.0
"""Seconds that a lease lasts where its producer has not said it."""


def newest(names: Names) -> Command:
    """Asks for the last entry of the log."""
    return ("XREVRANGE", names.log, "+", "-", "COUNT", 1)


def newest_attempt(names: Names) -> Command:
    """Asks for the newest attempt, which is there before the log has it."""
    return ("XREVRANGE", names.attempt, "+", "-", "COUNT", 1)


def page(names: Names, start: str, count: int) -> Command:
    """Asks for `count` entries from `start` on."""
    return ("XRANGE", names.log, start, "+", "COUNT", count)


def page_length(found: Sequence[tuple[EntryId, bytes]]) -> int:
    """How many entries of a log to ask for next, where these came last: they are of like size, more or less."""
    size = sum(len(data) for _, data in found) // max(len(found), 1)
    return max(1, min(PAGE, _PAGE_BYTES // max(size, 1)))


def look(names: Names) -> tuple[Command, ...]:
    """Asks for all that `seen` wants to know."""
    # The lease first: a producer that gives it back has written the end before.
    return (
        ("GET", names.lease),
        ("PTTL", names.lease),
        newest_attempt(names),
        newest(names),
    )


def entries(answer: Any) -> list[tuple[EntryId, bytes]]:
    """The entries of a log in an answer, each with its event as it is."""
    return [(EntryId.parse(id), field(fields, b"event")) for id, fields in answer]


def seen(lease: bytes | None, remaining: int, attempt: Any, last: Any) -> Look:
    """What the answers to `look` say."""
    held = None if lease is None else _lease(lease)
    said = field(attempt[0][1], b"lease") if attempt else None
    found = entries(last)
    return Look(
        lease=held,
        # Somebody may have made it one that does not expire.
        remaining=max(remaining, 0) / 1000 if remaining != -1 or held is None else held.seconds,
        lease_time=held.seconds if held is not None else _seconds(said),
        last=found[0][0] if found else None,
        ended=bool(found) and isinstance(decode(found[0][1]), End),
    )


def _lease(data: bytes) -> Lease | None:
    try:
        return Lease.decode(data)
    except WireError as error:
        # The log is none the worse for it, and a producer that lives puts its lease there again.
        log.debug("a sign of life that is none: %s", error)
        return None


def _seconds(said: bytes | None) -> float:
    try:
        seconds = float(said or b"")
    except ValueError:
        return DEFAULT_LEASE
    return seconds if 0 < seconds < inf else DEFAULT_LEASE
