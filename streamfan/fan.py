"""A fan: the lanes that one program publishes to, and the streams that are open."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import weakref
from dataclasses import replace
from functools import partial
from itertools import count
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from streamfan import lifetime
from streamfan.accounts import Accounts
from streamfan.attempts import Attempts
from streamfan.dispatcher import Dispatcher
from streamfan.errors import UsageError
from streamfan.events import StreamInfo, check_meta, check_stream_id, now, well_formed
from streamfan.generation import Generation
from streamfan.lane import Lane
from streamfan.making import made
from streamfan.observers import Observers
from streamfan.options import LaneOptions
from streamfan.report import DeliveryReport, Report, SinkReport, StreamReport
from streamfan.sink import Sink
from streamfan.sinks.callback import Calling
from streamfan.specs import check_id, check_unique
from streamfan.stream import Stream
from streamfan.streamer import Streamer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from types import TracebackType

    from streamfan.making import SinkLike
    from streamfan.observers import Observer
    from streamfan.streamer.specials import TokenIds

log = logging.getLogger("streamfan.fan")

# A part of any deadline is kept for closing files and connections.
_CLOSING_SHARE = 0.2
_LONGEST_CLOSING = 1.0
_OBSERVERS_TIMEOUT = 30.0
_SIGNAL_DEADLINE = 10.0


class Fan:
    """The lanes that one program publishes to.

    Threads start at once; sinks connect in the background. As a context manager it waits for what `start` has begun,
    and closes itself, which waits until everything is delivered. No method raises because of a sink: `report` says what
    became of each.

    Args:
        sinks: Specifications ("file:answer.txt"), `Sink` objects, callables `(text, end)`, or objects with `on_token`,
            see `ListenerSink`; functions and methods may be coroutine functions.
        close_timeout: Seconds that `close` may take altogether. None: as long as lanes make progress, by their options.

    Raises:
        UsageError: A sink that does not exist, or cannot be made as it was said.
    """

    def __init__(self, *sinks: SinkLike, close_timeout: float | None = None) -> None:
        self._close_timeout = close_timeout
        self._lock = threading.Lock()
        self._lanes: tuple[Lane, ...] = ()
        self._attempts = Attempts()
        self._generations: weakref.WeakSet[Generation] = weakref.WeakSet()
        self._deadline = inf
        self._closed = False
        self._cancelled = False
        self._observers = Observers()
        self._accounts = Accounts(self._stream_report, self._observers.tell)
        self._dispatcher = Dispatcher()
        self._process = os.getpid()
        self._writer = secrets.token_hex(2)
        lanes: list[Lane] = []
        for sink in sinks:
            lanes.append(self._new_lane(*made(sink, {}), None, LaneOptions(), lanes))
        # Only now: a wrong one among them leaves nothing behind.
        self._dispatcher.start()
        lifetime.register(self)
        for lane in lanes:
            self._start(lane)

    def __repr__(self) -> str:
        return f"<Fan: {', '.join(lane.id for lane in self._lanes) or 'no sinks'}>"

    # Sinks

    def add(
        self,
        sink: SinkLike,
        *,
        id: str | None = None,
        lane: LaneOptions = LaneOptions(),  # noqa: B008 - frozen
        **options: Any,
    ) -> str:
        """Add a sink; it is given every stream that is open, from its start, and every later one.

        Args:
            id: What reports call it; the sink's name unless given.
            lane: Pacing, retries and limits; where they are not set, the sink's own defaults hold.
            **options: Options of the sink, where `sink` is a specification: `fan.add("redis", control=True, ttl="1h")`.

        Returns:
            Its id.

        Raises:
            UsageError: A sink or an option that does not exist, an id that is taken or malformed, or the fan is closed.
        """
        self._check_usable()
        new = self._new_lane(*made(sink, options), id, lane, self._lanes)
        self._start(new)
        return new.id

    def _new_lane(
        self, sink: Sink, spec_id: str | None, id: str | None, options: LaneOptions, others: Sequence[Lane]
    ) -> Lane:
        if any(sink is other.sink for other in others):
            raise UsageError(f"sink {sink.name!r} is in this fan already\nTry: an object of its own for each lane")
        id = (spec_id or _default_id(sink, others)) if id is None else id
        lane = Lane(id, sink, options, self._dispatcher, self._accounts.settle)
        check_id(lane.id)
        check_unique((each.id, each.sink.name) for each in (*others, lane))
        return lane

    def _start(self, lane: Lane) -> None:
        lane.sink.fan_report = partial(_report_of, weakref.ref(self))
        with self._lock:
            # Again, now that nobody can come between: another thread may have added one, or closed the fan.
            self._check_usable()
            check_unique((each.id, each.sink.name) for each in (*self._lanes, lane))
            self._lanes = (*self._lanes, lane)
            for stream in self._accounts.expect():
                lane.add(stream)
        lane.start()
        self._dispatcher.add(lane)

    def reach(self) -> tuple[SinkReport, ...]:
        """Wait until every sink is connected, or its `connect_timeout` is over.

        Returns:
            The reports of those that are not, each with an error that says why.
        """
        started = monotonic()
        for lane in self._lanes:
            lane.reached.wait(max(0.0, started + lane.options.connect_timeout - monotonic()))
        return tuple(_unreached(lane) for lane in self._lanes if not lane.connected)

    @property
    def deserted(self) -> bool:
        """Whether every destination has left, so that there is nobody to generate for."""
        return bool(self._lanes) and all(lane.left for lane in self._lanes)

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of required sinks that have failed: in any stream, or in a call that has not returned in time."""
        return tuple(lane.id for lane in self._lanes if lane.options.required and lane.failed)

    # Streams

    def open(
        self,
        id: str | None = None,
        *,
        model: str | None = None,
        row: int = 0,
        meta: dict[str, Any] | None = None,
        max_tokens: int | None = None,
        attempt: int | None = None,
        writer: str | None = None,
        time: datetime | None = None,
    ) -> Stream:
        """Open a stream: whatever is written to it goes to every sink.

        Args:
            id: Its id; one that sorts by time unless given.
            model: What produces the text, by name.
            row: The index of the sequence in its batch.
            meta: Anything else that readers should know; must have a JSON form.
            max_tokens: How many tokens it will have at most, for who shows its progress.
            attempt: Which try at this id it is, >= 1 and later than those before; Unix milliseconds unless given.
            writer: Who produced it, where a stream of another program is published again; this fan unless given. With
                `attempt` a sink goes on from where that program has left it, if it can tell.
            time: When it was opened there; now unless given.

        Raises:
            UsageError: A malformed id, an attempt that is not later than those before, meta without a JSON form, or the
                fan is closed.
        """
        self._check_usable()
        if id is not None:
            check_stream_id(id)
        id = id or lifetime.next_id()
        info = StreamInfo(
            id=id,
            attempt=self._attempts.take(id, attempt),
            writer=self._writer if writer is None else well_formed(writer),
            time=now() if time is None else time,
            # A folder's name may be anything.
            model=None if model is None else well_formed(model),
            row=row,
            meta=check_meta(meta or {}),
            max_tokens=max_tokens,
            on_cancel=lambda reason, by: _cancel(held, reason, by),
        )
        stream = Stream(info, self._dispatcher, again=attempt is not None and writer is not None)
        # Weak: a sink that keeps what it knows of its streams must not keep their texts.
        held = weakref.ref(stream)
        with self._lock:
            self._check_usable()
            self._accounts.open(stream, len(self._lanes))
            for lane in self._lanes:
                lane.add(stream)
        stream.on_end(lambda: self._accounts.settle(stream, None))
        log.info("stream %r begins", id)
        return stream

    def streamer(
        self,
        tokenizer: Any,
        *,
        model: Any = None,
        eos_token_id: TokenIds | None = None,
        pad_token_id: int | None = None,
        stop: str | Sequence[str] = (),
        skip_prompt: bool = False,
        **decode_kwargs: Any,
    ) -> Streamer:
        """A streamer for `model.generate(streamer=...)`: each row of the batch becomes a stream; see `Streamer`."""
        return Streamer(
            self,
            tokenizer,
            model=model,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            stop=stop,
            skip_prompt=skip_prompt,
            **decode_kwargs,
        )

    def start(self, model: Any, tokenizer: Any, inputs: Any, **kwargs: Any) -> Generation:
        """Call `model.generate()` in a thread, and stream what it generates; see `Generation` for the arguments."""
        generation = Generation(self, model, tokenizer, inputs, **kwargs)
        self._generations.add(generation)
        return generation

    def generate(self, model: Any, tokenizer: Any, inputs: Any, **kwargs: Any) -> Any:
        """The same as `start(...).result()`: what `model.generate()` returns."""
        return self.start(model, tokenizer, inputs, **kwargs).result()

    def cancel(self, reason: str = "cancelled", *, by: str = "program") -> None:
        """Ask the producers of all open streams to stop; any thread may, also a signal handler."""
        self._cancelled = True
        for stream in self._accounts.streams:
            stream.cancel(reason, by=by)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called: who has more streams to come, as a recording has, begins none of them."""
        return self._cancelled

    def forget(self, stream: Stream, *, keep: int) -> None:
        """Let go of the text of `stream` that all sinks have taken, but for the last `keep` bytes; any producer may.

        So a stream without an end needs no more and more memory. A sink that is added later, or whose destination has
        forgotten more than that, cannot be given the stream any more, and who reads it from the start is told so. With
        an observer that keeps the text nothing is let go of.
        """
        if not self._observers.keep_text:
            needed = min((lane.needed(stream) for lane in self._lanes), default=inf)
            stream.forget(int(min(needed, stream.length)) - keep)

    def behind(self, streams: int) -> bool:
        """Whether a sink has so many streams before it: a producer that makes one after the other had better wait then.

        Not for one that makes no progress, which would keep the text from the others: it is given up by its own limits.
        """
        return any(lane.behind(streams) for lane in self._lanes)

    def observe(self, observer: Observer, *, patience: float = 0.5, keep_text: bool = True) -> None:
        """Call `observer(stream, report)` for each stream when it is finished everywhere, on a thread of its own.

        Also for those that lanes are still at when the fan is closed: they are given up then.

        Args:
            patience: Seconds that it has at the end in any case, also where a sink has taken all the time.
            keep_text: Whether it may want all of the text; without, `forget` may have let go of a stream's beginning.
        """
        self._observers.add(observer, patience, keep_text=keep_text)

    @property
    def report(self) -> Report:
        """What became of everything so far."""
        return Report(
            tuple(lane.report() for lane in self._lanes),
            self._accounts.reports(),
            self._accounts.finished,
            self._accounts.metrics(),
        )

    def _stream_report(self, stream: Stream, deliveries: Sequence[DeliveryReport]) -> StreamReport:
        end = stream.outcome
        order = {lane.id: place for place, lane in enumerate(self._lanes)}
        running = (lane.delivery(stream) for lane in self._lanes)
        known = {delivery.sink: delivery for delivery in (*running, *deliveries) if delivery is not None}
        return StreamReport(
            id=stream.id,
            attempt=stream.attempt,
            row=stream.info.row,
            model=stream.info.model,
            finish_reason=stream.finish_reason,
            cancelled=None if end is None or end.cancel is None else f"{end.cancel.reason!r}, by {end.cancel.by}",
            error=None if end is None or end.error is None else f"{end.error.type}: {end.error.message}",
            bytes=stream.length,
            tokens=stream.tokens or None,
            ttft=stream.ttft,
            duration=stream.duration,
            tpot=stream.tpot,
            intervals=stream.intervals,
            sha256=None if end is None else end.sha256,
            deliveries=tuple(sorted(known.values(), key=lambda delivery: order[delivery.sink])),
        )

    # The end

    def expire(self, timeout: float) -> None:
        """Deliver for `timeout` seconds at most from now, all sinks together, and then give up what is left."""
        deadline = monotonic() + timeout
        self._deadline = min(self._deadline, deadline)
        for lane in self._lanes:
            lane.expire(deadline - min(_LONGEST_CLOSING, _CLOSING_SHARE * timeout))

    def finish(self, timeout: float | None = None) -> None:
        """Take nothing more, and deliver what there is; returns at once.

        Streams that have not ended end now: cancelled if somebody has asked them to stop, else with an error.

        Args:
            timeout: Seconds that delivering may take altogether; None for no limit but the lanes' own.
        """
        if timeout is not None:
            self.expire(timeout)
        with self._lock:
            self._closed = True
        for stream in self._accounts.streams:
            if stream.cancelled:
                stream.end()
            else:
                stream.fail("the fan was closed before the stream had ended")
        for lane in self._lanes:
            lane.finish()

    def close(self, timeout: float | None = None) -> None:
        """Deliver everything, then disconnect all sinks; what could not be delivered is in `report`.

        Streams that have not ended do so now, see `finish`. A second call waits for nothing new.

        Args:
            timeout: Seconds that this may take altogether; `close_timeout` unless given.
        """
        if self._process != os.getpid():
            return
        self.finish(self._close_timeout if timeout is None else timeout)
        for lane in self._lanes:
            if lane.join(lambda: self._deadline):
                self._dispatcher.remove(lane)
        self._dispatcher.stop()
        self._accounts.close()
        self._observers.close(min(_OBSERVERS_TIMEOUT, self._deadline - monotonic()))
        lifetime.forget(self)

    def disown(self) -> None:
        """In a child process after `fork`: this fan is the parent's, so be empty and touch nothing of it."""
        self._lock = threading.Lock()
        self._lanes = ()
        self._closed = True
        self._dispatcher = Dispatcher()
        self._generations = weakref.WeakSet()
        for stream in self._accounts.disown():
            stream.disown()

    def _check_usable(self) -> None:
        if self._process != os.getpid():
            raise UsageError(
                f"this fan belongs to process {self._process}\nTry: make a Fan after the fork, in the child"
            )
        if self._closed:
            raise UsageError("the fan is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # In a thread: generating and draining may take long, and readers of this loop want to see the end.
        leaving = asyncio.create_task(asyncio.to_thread(self._leave, error))
        try:
            await asyncio.shield(leaving)
        except asyncio.CancelledError:
            self.cancel("interrupted", by="task")
            await leaving
            raise

    def _leave(self, error: BaseException | None) -> None:
        try:
            self._end_streams(error)
        except KeyboardInterrupt:
            self.cancel("interrupted", by="keyboard")
            self.expire(_SIGNAL_DEADLINE)
            raise
        finally:
            self.close()

    def _end_streams(self, error: BaseException | None) -> None:
        """The block of this fan is left: what it has started ends, or streams that are open know why they end."""
        if isinstance(error, KeyboardInterrupt):
            self.expire(_SIGNAL_DEADLINE)
        if error is None:
            for generation in list(self._generations):
                generation.wait()
            return
        for stream in self._accounts.streams:
            stream.__exit__(type(error), error, None)


def _default_id(sink: Sink, others: Sequence[Lane]) -> str:
    taken = {lane.id for lane in others}
    if not isinstance(sink, Calling) or sink.name not in taken:
        return sink.name
    # Functions have no specification in which a user could name them.
    return next(name for number in count(2) if (name := f"{sink.name}{number}") not in taken)


def _unreached(lane: Lane) -> SinkReport:
    """The report of a lane that had its time to connect; its tries may go on."""
    report = lane.report()
    if report.error is not None or report.left:
        return report
    why = f": {report.trouble}" if report.trouble else ""
    return replace(report, error=f"not reached within {lane.options.connect_timeout:g} s{why}")


def _report_of(held: weakref.ref[Fan]) -> Report | None:
    # Weak: a sink that was told where to look does not keep its fan.
    fan = held()
    return None if fan is None else fan.report


def _cancel(held: weakref.ref[Stream], reason: str, by: str) -> None:
    stream = held()
    if stream is not None:
        stream.cancel(reason, by=by)
