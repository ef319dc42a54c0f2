"""The append-only text of one generation, and the readers of it in this program.

The text is kept once, as UTF-8; lanes and readers are offsets into it. Reading takes no lock, so that a reader that
loses the interpreter in the middle never makes the publisher wait: `length` is raised last, and all below it is final.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from streamfan.dispatcher import Dispatcher
from streamfan.errors import HistoryTrimmed, StreamEnded, StreamFailed, text_of
from streamfan.events import (
    FINISH_REASONS,
    Cancellation,
    Chunk,
    End,
    Fault,
    FinishReason,
    StreamInfo,
    check_meta,
    well_formed,
)
from streamfan.intervals import Rhythm, add_all
from streamfan.log import Log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from streamfan.intervals import Intervals

log = logging.getLogger("streamfan.stream")
_INTERRUPTERS = {KeyboardInterrupt: "keyboard", GeneratorExit: "reader", asyncio.CancelledError: "task"}


class Stream:
    """One generated sequence: its text so far, its state, its identity.

    Made by `Fan.open`. As a context manager it bounds the generation: leaving it normally ends the stream, leaving it
    by an exception fails it. Iterating gives the text from the start, as it comes; so does `async for`.

    Attributes:
        info: What is known about the stream.
        length: UTF-8 bytes of text so far.
        tokens: Token ids so far; at the end, where it has none, as many as its producer says. 0 where nobody knows.
        again: Whether another program has published this attempt before, so that destinations may have more of it than
            was sent from here.
    """

    def __init__(self, info: StreamInfo, dispatcher: Dispatcher, *, again: bool = False) -> None:
        self.info = info
        self.again = again
        self.length = 0
        self.tokens = 0
        self._dispatcher = dispatcher
        self._lock = threading.Lock()
        self._opened = monotonic()
        self._log = Log()
        # Of text that is not kept any more.
        self._sha256 = hashlib.sha256()
        self._rhythm = Rhythm()
        self._first: float | None = None
        self._idle_ids: list[int] = []
        self._surrogate = ""
        self._cancellations: list[Cancellation] = []
        self._cancel_callbacks: list[Callable[[], object]] = []
        # Whoever waits for more text, and whoever waits for the end; each is called once.
        self._waiting: list[Callable[[], object]] = []
        self._end_callbacks: list[Callable[[], object]] = []
        self._finish_reason: FinishReason | None = None
        self._fault: Fault | None = None
        self._end_meta: dict[str, Any] = {}
        self._ended_at = inf
        self._outcome: End | None = None
        self._intervals: Intervals | None = None

    def __repr__(self) -> str:
        state = self._finish_reason or ("cancelling" if self._cancellations else "open")
        return f"<Stream {self.info.id!r} attempt {self.info.attempt}: {state}, {self.length} bytes>"

    @property
    def id(self) -> str:
        """The stream's id."""
        return self.info.id

    @property
    def attempt(self) -> int:
        """Which try at the stream this is."""
        return self.info.attempt

    # Writing

    def write(self, text: str, token_ids: Sequence[int] = ()) -> None:
        """Append finalized text; every reader will see it, in order, without gaps.

        Returns at once and never raises because of a reader, nor on odd text: halves of a surrogate pair are joined
        across writes, and a lone one becomes U+FFFD. Only a sink whose lane option `when_full` is `block` makes it
        wait, with the text already appended.

        Args:
            text: May be empty; then only the ids are kept, for the next chunk.
            token_ids: Ids that produced it, in order.

        Raises:
            StreamEnded: The stream has an outcome already.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is {text!r}, expected str")
        with self._lock:
            if self._finish_reason is not None:
                raise StreamEnded(f"stream {self.info.id!r} has ended ({self._finish_reason})", stream=self.info.id)
            before = self.length
            self._append(text, token_ids)
            if self.length == before:
                return
            waiting: list[Callable[[], object]] = []
            if self._waiting:
                waiting, self._waiting = self._waiting, waiting
        self._dispatcher.notify(urgent=not before)
        if waiting:
            self._dispatcher.call_soon(*waiting)
        if self._dispatcher.brake.on:
            self._dispatcher.brake.wait(self._wanted)

    def _wanted(self) -> bool:
        return self._finish_reason is None and not self._cancellations

    def end(
        self,
        finish_reason: FinishReason | None = None,
        *,
        meta: dict[str, Any] | None = None,
        tokens: int | None = None,
    ) -> None:
        """Give the stream its outcome; the first one stays, and a second call changes nothing.

        Args:
            finish_reason: How it ended; "stop" unless given, or "cancelled" where somebody asked it to stop.
            meta: What else readers should know at the end, such as calls to tools; must have a JSON form.
            tokens: How many tokens it has, for a producer that knows the number and not the ids, as a server's client.

        Raises:
            ValueError: There is no such finish reason.
            UsageError: meta without a JSON form.
        """
        if finish_reason is not None and finish_reason not in FINISH_REASONS:
            raise ValueError(f"finish reason {finish_reason!r} is none of {', '.join(FINISH_REASONS)}")
        self._settle(finish_reason or ("cancelled" if self._cancellations else "stop"), None, meta, tokens)

    def fail(
        self, error: BaseException | Fault | str, *, meta: dict[str, Any] | None = None, tokens: int | None = None
    ) -> None:
        """End the stream with an error; all text so far stays valid, and readers raise `StreamFailed` after it.

        Args:
            meta, tokens: See `end`.

        Raises:
            UsageError: meta without a JSON form.
        """
        match error:
            case Fault():
                fault = error
            case str():
                fault = Fault("Error", well_formed(error))
            case _:
                fault = Fault(type(error).__name__, well_formed(text_of(error)))
        self._settle("error", fault, meta, tokens)

    def _append(self, text: str, token_ids: Sequence[int]) -> None:
        if token_ids:
            self.tokens += len(token_ids)
            self._idle_ids.extend(token_ids)
        data = self._encode(text)
        if not data:
            return
        time = monotonic()
        if self._first is None:
            self._first = time
        end = self._log.append(data, self._idle_ids, time)
        self._idle_ids.clear()
        self.length = end

    def _encode(self, text: str) -> bytes:
        if self._surrogate:
            text, self._surrogate = self._surrogate + text, ""
        try:
            return text.encode()
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                text, self._surrogate = text[:-1], text[-1]
            return well_formed(text).encode()

    def _settle(
        self, finish_reason: FinishReason, fault: Fault | None, meta: dict[str, Any] | None, tokens: int | None
    ) -> None:
        end_meta = check_meta(meta) if meta else {}
        with self._lock:
            if self._finish_reason is not None:
                return
            if self._surrogate:
                self._surrogate = ""
                self._append("\ufffd", ())
            self._ended_at = monotonic()
            self._fault = fault
            self._end_meta = end_meta
            self.tokens = max(self.tokens, tokens or 0)
            self._finish_reason = finish_reason
            self._cancel_callbacks.clear()
            told = [*self._waiting, *self._end_callbacks]
            # A callback may well hold this stream.
            self._waiting.clear()
            self._end_callbacks.clear()
        self._dispatcher.notify(urgent=True)
        self._dispatcher.call_soon(*told)

    def disown(self) -> None:
        """In a child process after `fork`: the stream is the parent's, so it has failed here."""
        self._lock = threading.Lock()
        # One that is not started: the parent's thread does not exist here.
        self._dispatcher = Dispatcher()
        self.fail("the stream belongs to the parent process")

    # Cancelling: the only thing that travels back

    def cancel(self, reason: str = "cancelled", *, by: str = "program") -> None:
        """Ask the producer to stop; any thread may, also a signal handler, and the first reason given stays.

        The stream ends when its producer has heard it; the text so far stays.

        Args:
            reason: Why, for the end event and everybody who reads it.
            by: Who asks: a sink's id, a user's name.
        """
        # No lock: a signal handler may have interrupted the very thread that holds it.
        if self._finish_reason is None and not self._cancellations:
            self._cancellations.append(Cancellation(well_formed(reason), well_formed(by)))
            # The stream may end meanwhile, and then there is nobody left to tell.
            with suppress(IndexError):
                while True:
                    _call(self._cancel_callbacks.pop())

    @property
    def cancelled(self) -> Cancellation | None:
        """Who asked the stream to stop, and why; None if nobody did."""
        return self._cancellations[0] if self._cancellations else None

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` once when somebody asks the stream to stop, or at once if somebody has; it must not block."""
        self._cancel_callbacks.append(callback)
        if self._cancellations:
            with suppress(ValueError):
                self._cancel_callbacks.remove(callback)
                _call(callback)

    # Reading

    @property
    def text(self) -> str:
        """The text so far.

        Raises:
            HistoryTrimmed: The beginning is not kept any more.
        """
        return self.read(0).decode()

    @property
    def ended(self) -> bool:
        """Whether the stream has an outcome."""
        return self._finish_reason is not None

    @property
    def finish_reason(self) -> FinishReason | None:
        """How the stream ended; None while it has not."""
        return self._finish_reason

    @property
    def ttft(self) -> float | None:
        """Seconds from opening to the first text; None while there is none."""
        return None if self._first is None else self._first - self._opened

    @property
    def duration(self) -> float | None:
        """Seconds from opening to the end; None while it runs."""
        return None if self._finish_reason is None else self._ended_at - self._opened

    @property
    def tpot(self) -> float | None:
        """Seconds per token after the first text, until the end; None where that cannot be told."""
        if self.ttft is None or self.duration is None or self.tokens < 2:
            return None
        return (self.duration - self.ttft) / (self.tokens - 1)

    @property
    def intervals(self) -> Intervals | None:
        """How fast the text came; None while the stream runs, and where there were no two pieces of it."""
        if self._intervals is None and self._finish_reason is not None:
            self._intervals = add_all(deepcopy(self._rhythm), self._log).read()
        return self._intervals

    @property
    def outcome(self) -> End | None:
        """The end event, as it is for a reader that was given everything; None while there is none."""
        if self._outcome is None and self._finish_reason is not None:
            self._outcome = self._make_end(self._finish_reason)
        return self._outcome

    def follow(self, offset: int = 0) -> Iterator[str]:
        """Give the text from `offset` on, as it comes, until the stream ends.

        Args:
            offset: UTF-8 bytes to leave out; at most what there is, and not inside a code point.

        Raises:
            StreamFailed: The stream ended with an error; all its text was given before.
            HistoryTrimmed: The text there is not kept any more.
            ValueError: An offset to which there is no text.
        """
        position = self._checked(offset)
        while True:
            ended = self.ended
            if self.length > position:
                data = self.read(position)
                position += len(data)
                yield data.decode()
            elif ended:
                return self._raise_failure()
            else:
                news = threading.Event()
                self._when_past(position, news.set)
                news.wait()

    async def afollow(self, offset: int = 0) -> AsyncGenerator[str, None]:
        """The same as `follow`, for `async for`."""
        position = self._checked(offset)
        while True:
            ended = self.ended
            if self.length > position:
                data = self.read(position)
                position += len(data)
                yield data.decode()
            elif ended:
                self._raise_failure()
                return
            else:
                news = asyncio.Event()
                tell = partial(_set, asyncio.get_running_loop(), news)
                self._when_past(position, tell)
                try:
                    await news.wait()
                finally:
                    # Whoever waits for a while only, again and again, must not be remembered each time.
                    self._forget(tell)

    def on_end(self, callback: Callable[[], object]) -> None:
        """Have `callback` called once when the stream has its outcome, by the fan's own thread; it must not block."""
        with self._lock:
            if self._finish_reason is None:
                self._end_callbacks.append(callback)
                return
        self._dispatcher.call_soon(callback)

    def _when_past(self, position: int, callback: Callable[[], object]) -> None:
        with self._lock:
            if self.length == position and self._finish_reason is None:
                self._waiting.append(callback)
                return
        callback()

    def _forget(self, callback: Callable[[], object]) -> None:
        with self._lock, suppress(ValueError):
            self._waiting.remove(callback)

    def __iter__(self) -> Iterator[str]:
        return self.follow()

    def __aiter__(self) -> AsyncIterator[str]:
        return self.afollow()

    def read(self, offset: int, limit: int | None = None) -> bytes:
        """The text from `offset` on as UTF-8, `limit` bytes at most but never a part of a code point.

        Raises:
            HistoryTrimmed: It is not kept any more.
        """
        # In this order: a log has all that there was before it was looked at.
        length, log = self.length, self._log
        if offset < log.start:
            raise HistoryTrimmed(self.info.id, offset, log.start)
        end = length if limit is None else min(length, offset + limit)
        while end < length and log.continues(end):
            end -= 1
        return log.read(offset, end)

    def chunk(self, offset: int, data: bytes) -> Chunk:
        """The chunk that `data`, read at `offset`, is: with its token ids, and the time its last text was written."""
        end = offset + len(data)
        ids = self._log.ids(offset, end)
        written = self._time_of(self.written_at(end - 1))
        return Chunk(self.info, offset, data, ids, written)

    def chunks(self) -> Iterator[Chunk]:
        """The text as it was written: a chunk for each write that had some."""
        log = self._log
        offset = log.start
        for end in log.ends[:]:
            yield self.chunk(offset, log.read(offset, end))
            offset = end

    def written_at(self, offset: int) -> float:
        """When the byte at `offset` was written, on the monotonic clock."""
        return self._log.written_at(offset)

    def without_text(self) -> Stream:
        """All that is known of this stream, which has ended, but its text."""
        rest = Stream(self.info, self._dispatcher)
        rest.length, rest.tokens = self.length, self.tokens
        rest._outcome, rest._finish_reason = self.outcome, self._finish_reason
        rest._intervals = self.intervals
        return rest

    @property
    def start(self) -> int:
        """Where the text begins that is kept; 0 unless its producer has let go of some, see `Fan.forget`."""
        return self._log.start

    def forget(self, offset: int) -> None:
        """Let go of the text before `offset`, or a little less, if that is more than what stays."""
        with self._lock:
            if not self.length or offset - self._log.start < self.length - offset:
                # What stays is copied; so that costs no more than the text itself did.
                return
            gone, self._log = self._log.split(offset)
            self._sha256.update(gone.text)
            add_all(self._rhythm, gone)

    def pieces(self, offset: int) -> int:
        """How many pieces of text were written that end at or before `offset`."""
        return self._log.pieces(offset)

    def is_boundary(self, offset: int) -> bool:
        """Whether `offset` lies in the text that is kept, and not inside a code point."""
        length, log = self.length, self._log
        return log.start <= offset <= length and (offset == length or not log.continues(offset))

    def _checked(self, offset: int) -> int:
        if 0 <= offset < self._log.start:
            raise HistoryTrimmed(self.info.id, offset, self._log.start)
        if not self.is_boundary(offset):
            raise ValueError(
                f"offset {offset} of stream {self.info.id!r} is not the end of a character between 0 and {self.length}"
            )
        return offset

    def _raise_failure(self) -> None:
        if self._fault is not None:
            raise StreamFailed(self.info.id, self._fault.type, self._fault.message)

    def _make_end(self, finish_reason: FinishReason) -> End:
        return End(
            stream=self.info.id,
            attempt=self.info.attempt,
            offset=self.length,
            finish_reason=finish_reason,
            error=self._fault,
            cancel=self.cancelled if finish_reason == "cancelled" else None,
            tokens=self.tokens,
            token_ids=tuple(self._idle_ids),
            sha256=self._digest(),
            ttft=self.ttft,
            duration=self._ended_at - self._opened,
            time=self._time_of(self._ended_at),
            meta=self._end_meta,
        )

    def _time_of(self, moment: float) -> datetime:
        """The time of day at a moment of the monotonic clock."""
        try:
            return self.info.time + timedelta(seconds=moment - self._opened)
        except OverflowError:
            # It was opened in the last moment that there is, by its own account.
            return self.info.time

    def _digest(self) -> str:
        sha256 = self._sha256.copy()
        sha256.update(self._log.text)
        return sha256.hexdigest()

    # A context manager bounds the generation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError):
            # Somebody wanted an end: at the keyboard, by leaving a generator, by cancelling a task.
            self.cancel("interrupted", by=_INTERRUPTERS.get(type(error), "program"))
            self.end()
        elif error is not None:
            self.fail(error)
        else:
            self.end()


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except BaseException:  # foreign code: even one that raises SystemExit must not keep it from the others
        log.exception("a callback failed: %r", callback)


def _set(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    # A closed loop means that the reader has gone: nobody is left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(news.set)
