"""One sink at work: its thread, its calls, its cursors.

A lane never makes the publisher wait: all waiting happens on the lane's own thread.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from streamfan.counters import Counters
from streamfan.cursor import Cursor, Step, describe
from streamfan.dispatcher import Bell
from streamfan.errors import SinkClosed, SinkTimeout
from streamfan.forks import leave_child
from streamfan.report import SinkReport, State
from streamfan.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.options import LaneOptions
    from streamfan.report import DeliveryReport
    from streamfan.sink import Sink
    from streamfan.stream import Stream

T = TypeVar("T")
log = logging.getLogger("streamfan.lane")

# How often a join looks whether a call has begun that takes too long.
_JOIN_STEP = 0.2
_LEVELS = {State.DEGRADED: logging.WARNING, State.FAILED: logging.ERROR}


@dataclass(frozen=True, slots=True)
class _Call:
    """A call to the sink that has not returned."""

    method: str
    started: float
    limit: float

    @property
    def late(self) -> bool:
        return monotonic() >= self.limit


@dataclass(slots=True)
class _Tally:
    """Sums over cursors."""

    streams: int = 0
    complete: int = 0
    failed: int = 0
    bytes: int = 0
    chunks: int = 0
    retries: int = 0
    lost: int = 0
    missing: int = 0
    max_lag: float = 0.0

    def add(self, cursor: Cursor) -> None:
        self.streams += 1
        self.complete += cursor.finished
        self.failed += cursor.error is not None
        self.bytes += cursor.offset
        self.chunks += cursor.chunks
        self.retries += cursor.retries
        self.lost += cursor.lost
        self.missing += cursor.stream.length - cursor.offset
        self.max_lag = max(self.max_lag, cursor.max_lag)


class Lane:
    """One sink at work.

    Args:
        id: What this lane is called in its fan.
        sink: Whom it serves; no other lane may.
        options: Pacing, retries, limits.
        settled: Called with a stream and its report when it has ended and this lane has done with it; on the lane's
            thread or on that of the fan's clock.
    """

    def __init__(
        self, id: str, sink: Sink, options: LaneOptions, settled: Callable[[Stream, DeliveryReport], None]
    ) -> None:
        self.id = id
        self.sink = sink
        self.options = options.over(sink.lane_defaults)
        self.linger = self.options.linger
        self.reached = threading.Event()
        self._settled = settled
        self._process = os.getpid()
        self._cursors: list[Cursor] = []
        # Nothing is owed to these any more, but how much they lack is not known before their stream has ended.
        self._given_up: list[Cursor] = []
        self._retrying: set[Cursor] = set()
        self._bell = Bell()
        self._lock = threading.Lock()
        self._deadline = inf
        self._finishing = False
        self._ended = False
        self._connected = False
        self._left = False
        self._abandoned = False
        self._failing = False
        self._beats_fail = False
        self._reaching = Backoff(self.options.connect_timeout)
        self._reach_at = 0.0
        self._unreached: BaseException | None = None
        self._call: _Call | None = None
        self._logged = State.STARTING
        self._tally = _Tally()
        self._counters = Counters()
        self._error: BaseException | None = None
        self._trouble = ""
        # daemon: a sink stuck in its client library must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name=f"streamfan-{id}", daemon=True)

    def __repr__(self) -> str:
        return f"<Lane {self.id!r}: {self.state}>"

    # What the fan calls

    def start(self) -> None:
        """Start the thread, which connects the sink."""
        self._thread.start()

    def add(self, stream: Stream) -> None:
        """Deliver `stream` too, from its start."""
        with self._lock:
            self._cursors = [*self._cursors, Cursor(stream, self.sink, self.options)]
        self.wake()

    def wake(self) -> None:
        """Look for work."""
        self._bell.ring()

    def check(self) -> None:
        """Notice a call that does not return; the fan's clock asks, because the lane's own thread cannot."""
        if self.stalled_in:
            self._note_state()

    def finish(self) -> None:
        """Take no more streams: deliver what there is, disconnect, and end."""
        self._finishing = True
        self.wake()

    def expire(self, deadline: float) -> None:
        """Deliver nothing after `deadline` on the monotonic clock, whatever is left then."""
        self._deadline = min(self._deadline, deadline)
        self.wake()

    def join(self, until: Callable[[], float]) -> bool:
        """Wait for the thread to end, until `until` or until a call has taken too long; False if it goes on.

        A lane that goes on is abandoned: it makes no more calls but to close and disconnect, when its call returns.
        """
        while self._thread.is_alive() and self._thread is not threading.current_thread():
            now, call = monotonic(), self._call
            # Asked each time: a signal may bring the deadline nearer while this waits.
            patience = until() if call is None else min(until(), call.limit)
            if now >= patience:
                self._abandon(call, now)
                return False
            self._thread.join(min(patience - now, _JOIN_STEP))
        return True

    @property
    def connected(self) -> bool:
        """Whether the sink has been reached."""
        return self._connected

    @property
    def left(self) -> bool:
        """Whether the destination has closed by itself, as a pipe does."""
        return self._left

    @property
    def stalled_in(self) -> str | None:
        """The sink's method that has not returned within `call_timeout`."""
        call = self._call
        return call.method if call is not None and call.late else None

    @property
    def state(self) -> State:
        """The aggregate of its streams."""
        if self._failing or (self._ended and (self._tally.failed or any(each.error for each in self._given_up))):
            return State.FAILED
        if self._left or self._ended:
            return State.CLOSED
        if self.stalled_in or self._reaching.failures or self._retrying:
            return State.DEGRADED
        return State.OK if self._connected else State.STARTING

    def report(self) -> SinkReport:
        """What became of everything so far."""
        now, call = monotonic(), self._call
        with self._lock:
            tally, cursors, given_up = replace(self._tally), self._cursors, list(self._given_up)
            metrics = self._counters.read(cursor.flow(self._abandoned) for cursor in (*cursors, *given_up))
        for cursor in (*cursors, *given_up):
            tally.add(cursor)
        waiting = (cursor.stream.written_at(cursor.offset) for cursor in cursors if cursor.behind)
        return SinkReport(
            id=self.id,
            name=self.sink.name,
            target=self._label,
            required=self.options.required,
            guarantee=str(self.sink.delivery),
            state=self.state,
            streams=tally.streams,
            complete=tally.complete,
            bytes=tally.bytes,
            chunks=tally.chunks,
            retries=tally.retries,
            lost=tally.lost,
            missing=tally.missing,
            lag=max((now - written for written in waiting), default=0.0),
            max_lag=tally.max_lag,
            waiting_in=call.method if call is not None and self._abandoned else self.stalled_in,
            error=None if self._error is None or not (tally.failed or self._failing) else describe(self._error),
            trouble=self._why(State.DEGRADED) if self.state is State.DEGRADED else None,
            left=self._left,
            metrics=metrics,
        )

    @property
    def _label(self) -> str | None:
        try:
            return self.sink.label
        except Exception:  # foreign code: a report never raises because of a sink
            log.debug("sink %r: label raised", self.id, exc_info=True)
            return None

    def delivery(self, stream: Stream) -> DeliveryReport | None:
        """What became of `stream` so far; None when this lane has done with it."""
        cursors = (*self._cursors, *self._given_up)
        return next((cursor.report(self.id) for cursor in cursors if cursor.stream is stream), None)

    def _abandon(self, call: _Call | None, now: float) -> None:
        self._abandoned = True
        self.expire(now)
        what = f"{call.method}() has not returned after {now - call.started:.1f} s" if call else "not finished in time"
        self._fault(timeout := SinkTimeout(what))
        if call is not None:
            self._counters.fail(call.method, timeout)
        for cursor in self._cursors:
            # No more than a note: the cursor is the lane's own, whose call may still return.
            cursor.error = cursor.error or timeout
        self._note_state()

    # What happens on the lane's thread

    def _run(self) -> None:
        try:
            self._deliver()
        except BaseException as error:  # noqa: BLE001 - nothing but a fault of this module, or of a handler of its log
            self._fault(error)
            for cursor in self._cursors:
                cursor.give_up(error)
                self._settle(cursor)
        if self._unreached is not None and not self._left:
            # Also where it was to be tried again, but there was nothing to deliver.
            self._fault(self._unreached)
        _, refused = self._attempt("disconnect", self.sink.disconnect)
        if refused is not None:
            # What a destination says when it is let go may well be that it has not kept what it was given.
            self._fault(refused)
        self._ended = True
        self._note_state()

    def _deliver(self) -> None:
        while not self._done:
            wake_at = self._round()
            self._note_state()
            # The round may have settled the last stream, and then nobody will ring again.
            if not self._done:
                self._bell.wait(wake_at - monotonic())

    @property
    def _done(self) -> bool:
        return self._finishing and not self._cursors

    def _round(self) -> float:
        """Serve every stream that is due, once, and say when the next one will be."""
        if self._left:
            self._let_go(None)
        elif monotonic() >= self._deadline:
            self._let_go(SinkTimeout("the time for delivery was over"))
        elif not self._connected and not self._reach():
            return min(self._reach_at, self._deadline)
        wake_at, served = inf, False
        for cursor in self._cursors[:1] if self.options.sequential else self._cursors:
            if cursor.dormant and (cursor.beat_at == inf or monotonic() < cursor.beat_at):
                wake_at = min(wake_at, cursor.beat_at)
                continue
            if cursor.due() <= monotonic():
                self._serve(cursor)
                served = True
            wake_at = min(wake_at, cursor.due(), self._beat(cursor))
        if served:
            # Calls take time: look again before sleeping.
            return 0.0
        return wake_at if monotonic() >= self._deadline else min(wake_at, self._deadline)

    def _reach(self) -> bool:
        """Connect the sink, or plan the next try; a destination that was given up is tried again for a new stream."""
        if self._failing and not self._cursors:
            self._reach_at = inf
            return False
        # At the end nobody waits for a destination that was given up before.
        last_try = self._finishing and self._failing
        if self._reach_at != inf and monotonic() < self._reach_at and not last_try:
            return False
        _, error = self._attempt("connect", self.sink.connect)
        if error is None:
            self._connected, self._failing, self._unreached = True, False, None
            self._reaching.reset()
            self.reached.set()
            return True
        at = None if last_try else self._reaching.next_try(error, monotonic(), self._deadline)
        self._reach_at = 0.0 if at is None else at
        self._unreached = error
        if at is None:
            self._not_reached(error)
        return False

    def _not_reached(self, error: BaseException) -> None:
        # From now on a new stream has one probe, shared by all that wait, with the retries of any piece.
        self._reaching = Backoff(self.options.max_elapsed)
        self._left = isinstance(error, SinkClosed)
        if not self._left:
            self._fault(error)
            self._let_go(error)
        self.reached.set()

    def _serve(self, cursor: Cursor) -> None:
        step, error = self._attempt("size", cursor.step)
        if error is not None:
            step = Step.WRITE
        elif step is None:
            return
        else:
            _, error = self._attempt(step.value, partial(self._take_step, cursor, step))
        if isinstance(error, SinkClosed):
            self._left = True
            cursor.give_up(None, step)
        elif error is not None:
            cursor.failed(error, step, monotonic(), self._deadline)
            if cursor.error is error:
                self._fault(error)
        elif cursor.error is None:
            self._failing = False
        (self._retrying.add if cursor.retrying else self._retrying.discard)(cursor)
        if cursor.done:
            self._settle(cursor)

    def _take_step(self, cursor: Cursor, step: Step) -> None:
        info, chunk = cursor.stream.info, cursor.chunk
        if step is Step.OPEN:
            cursor.opened_at(self.sink.open(info))
            cursor.beat_at = monotonic() + (self.sink.heartbeat or inf)
        elif step is Step.WRITE and chunk is not None:
            self.sink.write(chunk)
            cursor.delivered(chunk, monotonic())
        else:
            self.sink.close(info, cursor.ending())
            cursor.closed()

    def _beat(self, cursor: Cursor) -> float:
        """Beat if it is time to; says when it will be."""
        if self.sink.heartbeat is None or not cursor.beating:
            return inf
        if monotonic() >= cursor.beat_at:
            # A beat that fails is not retried, the next one comes; a write will tell whether the destination is gone.
            _, error = self._attempt("beat", partial(self.sink.beat, cursor.stream.info))
            if error is not None:
                # Once for an outage: there may be many streams, and each has a beat of its own.
                level = logging.DEBUG if self._beats_fail else logging.WARNING
                log.log(level, "sink %r: beat() failed: %s", self.id, describe(error))
            self._beats_fail = error is not None
            cursor.beat_at = monotonic() + self.sink.heartbeat
        return cursor.beat_at

    def _attempt(self, what: str, call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
        """Call the sink, and give back what it returned, or raised."""
        patience = self.options.connect_timeout if what == "connect" else self.options.call_timeout
        self._call = _Call(what, now := monotonic(), now + patience)
        try:
            returned = call()
        except BaseException as error:  # foreign code: even one that raises SystemExit fails alone
            leave_child(self._process, error)
            log.debug("sink %r: %s() raised", self.id, what, exc_info=True)
            self._counters.fail(what, error)
            self._trouble = f"{what}() failed, trying again: {describe(error)}"
            return None, error
        finally:
            self._call = None
        leave_child(self._process)
        if what == "write":
            self._counters.send(monotonic() - now)
        return returned, None

    def _fault(self, error: BaseException) -> None:
        self._error = error
        self._failing = True

    def _let_go(self, error: BaseException | None) -> None:
        """Deliver no more of any stream; those that were opened are still closed."""
        for cursor in self._cursors:
            if not (cursor.over or cursor.owes_only_close):
                cursor.give_up(error)
                self._retrying.discard(cursor)
                if error is not None:
                    self._fault(error)
            if cursor.done:
                self._settle(cursor)

    def _settle(self, cursor: Cursor) -> None:
        """Owe nothing more to a stream; it is counted when it has ended, for until then it may lack more and more."""
        self._retrying.discard(cursor)
        with self._lock:
            self._cursors = [other for other in self._cursors if other is not cursor]
            self._given_up.append(cursor)
        if cursor.stream.ended:
            self._count(cursor)
        else:
            cursor.stream.on_end(partial(self._count, cursor))

    def _count(self, cursor: Cursor) -> None:
        with self._lock:
            self._given_up.remove(cursor)
            self._tally.add(cursor)
            self._counters.settle(cursor.flow())
        self._settled(cursor.stream, cursor.report(self.id))

    def _note_state(self) -> None:
        with self._lock:
            state, before = self.state, self._logged
            self._logged = state
        if state is not before:
            why = f": {self._why(state)}" if self._why(state) else ""
            recovered = state is State.OK and before in {State.DEGRADED, State.FAILED}
            level = logging.WARNING if recovered else _LEVELS.get(state, logging.INFO)
            log.log(level, "sink %r is %s%s", self.id, state, why)

    def _why(self, state: State) -> str:
        if state is State.FAILED and self._error is not None:
            return describe(self._error)
        if state is State.DEGRADED:
            stalled = self.stalled_in
            return f"{stalled}() has not returned" if stalled else self._trouble
        return ""
