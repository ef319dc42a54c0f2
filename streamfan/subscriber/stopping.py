"""Asking the producer of a stream to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamfan.errors import CancelRefused, StreamNotFound
from streamfan.redis.batch import readable
from streamfan.redis.connection import milliseconds
from streamfan.redis.control import REQUEST_KEPT, CancelRequest, proof
from streamfan.subscriber import history
from streamfan.subscriber.faults import check

if TYPE_CHECKING:
    from streamfan.redis.connection import Command, Connection
    from streamfan.redis.lease import Lease
    from streamfan.redis.names import Names


@dataclass(frozen=True, slots=True)
class Stop:
    """A wish that a stream should stop.

    Attributes:
        attempt: The attempt that is meant; 0 for the newest.
        reason: Why.
        by: Who wants it.
        token: What the producer may ask for.
    """

    attempt: int
    reason: str
    by: str
    token: str | None = field(repr=False)


def ask(connection: Connection, names: Names, stop: Stop) -> CancelRequest | None:
    """Leave a request for the producer, and return it; None where the stream has ended, and there is nobody to ask.

    Raises:
        StreamNotFound: There is no such stream.
        CancelRefused: The producer hears no request, or not this one.
        WireError: One of the stream's keys is something else.
        ServerRefused: The server does not tell.
    """
    first, *others = connection.answers(*history.look(names))
    # A lease that is no string is none that can be read.
    answers = (readable(first), *others)
    check(answers, names.stream)
    seen = history.seen(*answers)
    lease = seen.lease
    claimed = max((id.attempt for id, _ in history.entries(answers[2])), default=0)
    if seen.ended and seen.last is not None and seen.last.attempt >= claimed:
        return None
    if seen.last is None and lease is None:
        said = f"there is no stream {names.stream!r} in Redis at {connection.address}"
        raise StreamNotFound(said, stream=names.stream)
    if lease is None:
        raise _refused(names.stream, "nobody hears it, its producer does not show that it lives")
    attempt = max(claimed, lease.attempt)
    if stop.attempt not in {0, attempt}:
        raise _refused(names.stream, f"attempt {stop.attempt} is over, and attempt {attempt} was not meant")
    if lease.attempt == attempt:
        _check(lease, names.stream, stop)
    # Else it is of an older producer that has not noticed yet: what the newer one hears is not known.
    request = CancelRequest(
        attempt=attempt,
        reason=stop.reason,
        by=stop.by,
        proof=None if stop.token is None else proof(stop.token, names.stream, attempt),
    )
    connection.command(*_leave(names, request))
    return request


def ask_again(connection: Connection, names: Names, request: CancelRequest) -> None:
    """Leave a request that was left before, where the server has lost it; one that it has stays as it is."""
    # A refusal is nothing new to say to anybody: it was allowed before, and whoever reads meets what is wrong.
    connection.answers((*_leave(names, request), "NX"))


def _leave(names: Names, request: CancelRequest) -> Command:
    return ("SET", names.cancel, request.encode(), "PX", milliseconds(REQUEST_KEPT))


def _check(lease: Lease, stream: str, stop: Stop) -> None:
    if lease.control == "off":
        hint = 'Try: -o redis.control=true where it runs, or fan.add("redis", control=True)'
        raise _refused(stream, f"its producer hears no request to stop\n{hint}")
    if lease.control == "token" and stop.token is None:
        raise _refused(
            stream,
            "its producer wants a token\nTry: --token-file, or $STREAMFAN_TOKEN, with the one that it was started with",
        )


def _refused(stream: str, why: str) -> CancelRefused:
    return CancelRefused(f"stream {stream!r}: {why}", stream=stream)
