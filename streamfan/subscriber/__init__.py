"""Reading streams that other programs write to Redis: from the start, live, to the end, whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from streamfan.errors import UsageError
from streamfan.redis.address import Address
from streamfan.redis.client import check_client
from streamfan.redis.names import check_prefix, has_no_utf8
from streamfan.subscriber.reading import Wanted
from streamfan.subscriber.subscription import AsyncSubscription, Subscription

if TYPE_CHECKING:
    from streamfan.events import Event

__all__ = ["AsyncSubscription", "Subscription", "asubscribe", "subscribe"]


class _How(TypedDict, total=False):
    """What says the same whatever is given, text or events."""

    offset: int
    attempt: int
    wait: float
    prefix: str
    token: str | None


@overload
def subscribe(
    url: str, stream: str | None = None, *, events: Literal[False] = False, **how: Unpack[_How]
) -> Subscription[str]: ...
@overload
def subscribe(
    url: str, stream: str | None = None, *, events: Literal[True], **how: Unpack[_How]
) -> Subscription[Event]: ...
@overload
def subscribe(
    url: str, stream: str | None = None, *, events: bool, **how: Unpack[_How]
) -> Subscription[str] | Subscription[Event]: ...
def subscribe(
    url: str,
    stream: str | None = None,
    *,
    offset: int = 0,
    attempt: int = 0,
    events: bool = False,
    wait: float = 0.0,
    prefix: str = "streamfan",
    token: str | None = None,
) -> Subscription[Any]:
    """Read a stream that another program writes to Redis: its history first, then live, to its end.

    The text comes in order, once, without gaps: what a channel misses, a restart of the server interrupts, or a slow
    reader leaves, is read from the log. Where that cannot be, an error says so; after most of them iterating goes on
    where it was. All subscriptions of a process share one thread and its connections. Leaving one cancels nothing.

    To go on in another program where this one has stopped, keep both `offset` and `attempt` of the subscription: an
    offset is a place in the text of one attempt.

    Args:
        url: The Redis, "redis://...", "rediss://..." or "unix://...".
        stream: The stream's id. None: every stream that begins from now on, one after the other. Then the call returns
            when none that begins is missed any more, or when no server answers: what begins meanwhile may be.
        offset: UTF-8 bytes of the text to leave out: what was read before. Where it is 0 the text is compared with the
            producer's sha256 at the end.
        attempt: Which attempt that was; where there is a later one, `Restarted` says so. 0: read the newest, whichever
            that is.
        events: Give `Start`, `Text` and `End` events instead of text; then a failed stream raises nothing. With an
            `offset` no `Start` comes, and the `Text` that it is inside of comes without token ids.
        wait: Seconds to wait for a stream that is not there yet, or for a server.
        prefix: What the sink was told to begin its keys with.
        token: What the producer wants to be shown before it stops.

    Raises, at the call:
        UsageError: A malformed URL, id, prefix or number.

    Raises, while iterating:
        StreamFailed: The stream ended with the producer's error.
        StreamNotFound: There is no such stream, or it has vanished.
        ProducerLost: Nobody is left to write the rest.
        HistoryTrimmed: The log lacks what was to come next: it was trimmed, or has never come there.
        Restarted: Another attempt has begun.
        TextAltered: What was read is not what the producer wrote.
        WireError: What is there are no events, or events of a later version.
        ServerUnreachable: Nobody answers: at first, or later for a minute; where `wait` is longer, for so long.
        ServerRefused: A wrong password, no permission, or no Redis.
    """
    return Subscription(_wanted(url, stream, offset, attempt, events, wait, prefix, token), stream, offset, attempt)


@overload
def asubscribe(
    url: str, stream: str | None = None, *, events: Literal[False] = False, **how: Unpack[_How]
) -> AsyncSubscription[str]: ...
@overload
def asubscribe(
    url: str, stream: str | None = None, *, events: Literal[True], **how: Unpack[_How]
) -> AsyncSubscription[Event]: ...
@overload
def asubscribe(
    url: str, stream: str | None = None, *, events: bool, **how: Unpack[_How]
) -> AsyncSubscription[str] | AsyncSubscription[Event]: ...
def asubscribe(
    url: str,
    stream: str | None = None,
    *,
    offset: int = 0,
    attempt: int = 0,
    events: bool = False,
    wait: float = 0.0,
    prefix: str = "streamfan",
    token: str | None = None,
) -> AsyncSubscription[Any]:
    """The same as `subscribe`, for `async for`; to be called where an event loop runs, or before.

    It returns at once. Without a stream's id, none that begins is missed from when `async with` is entered.
    """
    wanted = _wanted(url, stream, offset, attempt, events, wait, prefix, token)
    return AsyncSubscription(wanted, stream, offset, attempt)


def _wanted(
    url: str, stream: str | None, offset: int, attempt: int, events: bool, wait: float, prefix: str, token: str | None
) -> Wanted:
    check_client("subscribe()")
    if stream is None and (offset or attempt):
        what = "an offset" if offset else "an attempt"
        raise UsageError(f"{what} belongs to one stream\nTry: subscribe(url, stream, offset=..., attempt=...)")
    if not wait >= 0:
        raise UsageError(f"wait is {wait}, expected seconds, 0 or more")
    if token is not None and has_no_utf8(token):
        raise UsageError("the token is no UTF-8")
    check_prefix(prefix)
    return Wanted(address=Address(url), prefix=prefix, events=events, wait=wait, token=token)
