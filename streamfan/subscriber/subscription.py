"""What a subscriber holds: the text of a stream, or its events, for whoever iterates."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from streamfan.dispatcher import Bell
from streamfan.errors import UsageError
from streamfan.subscriber.new_streams import NewStreams
from streamfan.subscriber.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from streamfan.events import End, Event, Start
    from streamfan.subscriber.reading import Wanted

T = TypeVar("T", bound="str | Event")


class _Subscription(Generic[T]):
    """What both kinds have in common."""

    def __init__(
        self, wanted: Wanted, stream: str | None, offset: int, attempt: int, news: Callable[[], object]
    ) -> None:
        self._news = news
        self._reading: Reading | NewStreams = (
            NewStreams(wanted, news) if stream is None else Reading(wanted, stream, offset, attempt, news)
        )
        if isinstance(self._reading, NewStreams):
            # What begins before somebody iterates has begun since then too.
            self._reading.begin()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stream or 'of new streams'!r}: {self.offset:,} bytes read>"

    @property
    def stream(self) -> str | None:
        """The id of the stream that is read; None before there is one."""
        return self._reading.stream

    @property
    def attempt(self) -> int:
        """The attempt that is read, which `offset` is a place in; 0 while none is known."""
        return self._reading.attempt

    @property
    def offset(self) -> int:
        """UTF-8 bytes of the stream's text that were given; with `attempt`, what goes on from here."""
        return self._reading.offset

    @property
    def info(self) -> Start | None:
        """The stream's start event; None before it was read, and where it was left out or trimmed."""
        return self._reading.info

    @property
    def outcome(self) -> End | None:
        """The stream's end event; None before it was read."""
        return self._reading.outcome

    def close(self) -> None:
        """Read no more; the producer does not notice, and goes on.

        Whoever waits for the next text, in another thread or task, comes to the end.
        """
        self._reading.close()
        self._news()


class Subscription(_Subscription[T]):
    """The text of a stream, as it comes: `for text in subscription`; see `subscribe`.

    For one thread at a time. It is closed when it is left as a context manager, and when nobody holds it any more.
    """

    def __init__(self, wanted: Wanted, stream: str | None, offset: int, attempt: int) -> None:
        self._bell = Bell()
        self._taking = threading.Lock()
        super().__init__(wanted, stream, offset, attempt, self._bell.ring)
        if isinstance(self._reading, NewStreams):
            self._reading.attended.result()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._taking.acquire(blocking=False):
            raise UsageError(
                "another thread is reading this subscription\nTry: one for each thread; they share a connection"
            )
        try:
            return self._next()
        finally:
            self._taking.release()

    def _next(self) -> T:
        while True:
            taken = self._reading.take()
            if taken is not None:
                return cast("T", taken)
            if self._reading.over:
                raise StopIteration
            self._reading.begin()
            self._bell.wait()

    def cancel(self, reason: str = "cancelled", *, by: str = "subscriber") -> bool:
        """Ask the producer to stop, and go on reading; False where the stream has ended, and nothing was asked.

        What is meant is the attempt of which something was given, or else whichever there is.

        Returns when the request is where the producer finds it, also if one of the two is cut off from Redis for a
        while. A server that restarts without it is given it again, as long as the stream is read here. What comes of it
        is in the end event: `cancelled`, with `reason` and `by`.

        Raises:
            CancelRefused: The producer hears no request, or none without its token.
            StreamNotFound: There is no such stream.
            WireError: One of its keys is something else.
            ServerError: The request could not be left.
        """
        return self._reading.cancel(reason, by).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSubscription(_Subscription[T]):
    """The same as `Subscription`, for `async for` and `async with`; for one task at a time."""

    def __init__(self, wanted: Wanted, stream: str | None, offset: int, attempt: int) -> None:
        self._nudge = _Nudge()
        super().__init__(wanted, stream, offset, attempt, self._nudge)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            news = self._nudge.prepare()
            taken = self._reading.take()
            if taken is not None:
                return cast("T", taken)
            if self._reading.over:
                raise StopAsyncIteration
            self._reading.begin()
            await news.wait()

    async def cancel(self, reason: str = "cancelled", *, by: str = "subscriber") -> bool:
        """See `Subscription.cancel`."""
        return await asyncio.wrap_future(self._reading.cancel(reason, by))

    async def aclose(self) -> None:
        """The same as `close`, which does not wait for anything either."""
        self.close()

    async def __aenter__(self) -> Self:
        if isinstance(self._reading, NewStreams):
            # Shielded: whoever gives up does not decide for the thread that settles it.
            await asyncio.shield(asyncio.wrap_future(self._reading.attended))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Nudge:
    """Wakes the task that waits; called from any thread, and after its loop was closed."""

    def __init__(self) -> None:
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def prepare(self) -> asyncio.Event:
        """What is set when this is called from now on."""
        news = asyncio.Event()
        self._waiting = (asyncio.get_running_loop(), news)
        return news

    def __call__(self) -> None:
        if self._waiting is not None:
            loop, news = self._waiting
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(news.set)
