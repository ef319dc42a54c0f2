"""The lane itself: its thread, and what others ask of it while that is at work."""

from __future__ import annotations

import logging
import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.counters import Counters
from streamfan.cursor import Cursor, describe
from streamfan.dispatcher import Bell
from streamfan.errors import ConfigError, SinkTimeout
from streamfan.lane.backlog import Backlog
from streamfan.lane.calls import Calls
from streamfan.lane.health import Health
from streamfan.lane.ledger import Ledger
from streamfan.lane.serving import Serving
from streamfan.report import SinkReport, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.dispatcher import Dispatcher
    from streamfan.lane.calls import Call
    from streamfan.options import LaneOptions
    from streamfan.report import DeliveryReport
    from streamfan.sink import Sink
    from streamfan.stream import Stream

log = logging.getLogger("streamfan.lane")

# How often a join looks whether a call has begun that takes too long.
_JOIN_STEP = 0.2


class Lane:
    """One sink at work.

    Args:
        id: What this lane is called in its fan.
        sink: Whom it serves; no other lane may.
        options: Pacing, retries, limits.
        dispatcher: The fan's clock, which wakes this lane while text does not flow.
        settled: Called with a stream and its report when it has ended and this lane has done with it; on the lane's
            thread or on that of the fan's clock.

    Raises:
        ConfigError: The lane is to skip text, and the sink does not accept gaps.
    """

    def __init__(
        self,
        id: str,
        sink: Sink,
        options: LaneOptions,
        dispatcher: Dispatcher,
        settled: Callable[[Stream, DeliveryReport], None],
    ) -> None:
        self.id = id
        self.sink = sink
        self.options = options.over(sink.lane_defaults)
        if self.options.when_full == "skip" and not sink.accepts_gaps:
            raise ConfigError(
                f"sink {id!r} cannot skip text: nobody would see there that something is missing\n"
                "Try: when_full = fail, or block"
            )
        self.linger = self.options.linger
        # Held by the lane's thread but while it sleeps or is inside the sink: who holds it may change cursors.
        self._working = threading.Lock()
        self._counters = Counters(self.options.buffer_bytes)
        self._calls = Calls(id, self.options, self._working, self._counters)
        self._ledger = Ledger(id, self._counters, settled)
        self._backlog = Backlog(self.options)
        self._health = Health(id)
        self._dispatcher = dispatcher
        self._brake = dispatcher.brake
        self._serving = Serving(sink, self.options, self._calls, self._ledger, self._backlog, self._health, self._brake)
        self._bell = Bell()
        self._attentive = False
        self._ended = False
        self._abandoned = False
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
        self._ledger.add(Cursor(stream, self.sink, self.options, self._size))
        self.wake()

    def wake(self) -> None:
        """Look for work."""
        self._bell.ring()

    def check(self) -> None:
        """Notice a call that does not return, and what piles up meanwhile.

        The fan's clock asks, because the lane's own thread cannot.
        """
        if self.stalled_in:
            self._note_state()
        # Never waits: a lane that is at work is looked at next time.
        if monotonic() >= self._backlog.look_at and self._working.acquire(blocking=False):
            try:
                self._serving.relieve()
            finally:
                self._working.release()
            self._note_state()

    @property
    def check_at(self) -> float:
        """When it wants to be checked next at the latest, on the monotonic clock."""
        return self._backlog.look_at if self._backlog.full else inf

    @property
    def attentive(self) -> bool:
        """Whether nobody need wake it for text: it looks by itself, or wants none."""
        # One that is not back from its sink looks at nothing.
        return self._attentive and not self._calls.lasts_long

    def finish(self) -> None:
        """Take no more streams: deliver what there is, disconnect, and end."""
        self._serving.finishing = True
        self.wake()

    def expire(self, deadline: float) -> None:
        """Deliver nothing after `deadline` on the monotonic clock, whatever is left then."""
        self._serving.deadline = min(self._serving.deadline, deadline)
        self.wake()

    def join(self, until: Callable[[], float]) -> bool:
        """Wait for the thread to end, until `until` or until a call has taken too long; False if it goes on.

        A lane that goes on is abandoned: it makes no more calls but to close and disconnect, when its call returns.
        """
        while self._thread.is_alive() and self._thread is not threading.current_thread():
            now, call = monotonic(), self._calls.current
            # Asked each time: a signal may bring the deadline nearer while this waits.
            patience = until() if call is None else min(until(), call.limit)
            if now >= patience:
                self._abandon(call, now)
                return False
            self._thread.join(min(patience - now, _JOIN_STEP))
        return True

    @property
    def reached(self) -> threading.Event:
        """Set when it is known whether the destination can be reached at the start."""
        return self._serving.reaching.decided

    @property
    def connected(self) -> bool:
        """Whether the sink has been reached."""
        return self._serving.reaching.connected

    @property
    def left(self) -> bool:
        """Whether the destination has closed by itself, as a pipe does."""
        return self._serving.left

    @property
    def failed(self) -> bool:
        """Whether it has failed a stream, cannot reach its destination, or waits for a call that takes too long."""
        return self._health.failing or self._ledger.failed or self.stalled_in is not None

    @property
    def stalled_in(self) -> str | None:
        """The sink's method that has not returned within `call_timeout`."""
        return self._calls.stalled_in

    @property
    def state(self) -> State:
        """The aggregate of its streams."""
        if self._health.failing or (self._ended and self._ledger.failed):
            return State.FAILED
        if self._serving.left or self._ended:
            return State.CLOSED
        if self.stalled_in or self._serving.reaching.trying or self._serving.retrying:
            return State.DEGRADED
        return State.OK if self.connected else State.STARTING

    def report(self) -> SinkReport:
        """What became of everything so far."""
        now, call = monotonic(), self._calls.current
        tally, metrics, cursors = self._ledger.totals(abandoned=self._abandoned)
        waiting = (since for cursor in cursors if (since := cursor.waiting_since) is not None)
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
            skipped=tally.skipped,
            missing=tally.missing,
            lag=max((now - since for since in waiting), default=0.0),
            max_lag=tally.max_lag,
            waiting_in=call.method if call is not None and self._abandoned else self.stalled_in,
            error=self._failure if tally.failed or self._health.failing else None,
            trouble=self._trouble() if self.state is State.DEGRADED else None,
            left=self._serving.left,
            metrics=metrics,
        )

    @property
    def _failure(self) -> str | None:
        error = self._health.error
        return None if error is None else describe(error)

    @property
    def _label(self) -> str | None:
        try:
            return self.sink.label
        except Exception:  # foreign code: a report never raises because of a sink
            log.debug("sink %r: label raised", self.id, exc_info=True)
            return None

    def needed(self, stream: Stream) -> float:
        """From which byte on it still needs the text of `stream`; `inf` where it needs none."""
        return self._ledger.needed(stream)

    def behind(self, streams: int) -> bool:
        """Whether it works, and has so many streams before it."""
        cursors = [cursor for cursor in self._ledger.cursors if not cursor.over]
        return len(cursors) >= streams and self._backlog.moves(cursors, monotonic())

    def delivery(self, stream: Stream) -> DeliveryReport | None:
        """What became of `stream` so far; None when this lane has done with it."""
        return self._ledger.delivery(stream)

    def _abandon(self, call: Call | None, now: float) -> None:
        self._abandoned = True
        self.expire(now)
        what = f"{call.method}() has not returned after {now - call.started:.1f} s" if call else "not finished in time"
        timeout = SinkTimeout(what)
        for cursor in self._ledger.cursors:
            # No more than a note: the cursor is the lane's own, whose call may still return, and is no success then.
            cursor.error = cursor.error or timeout
        self._health.fault(timeout)
        if call is not None:
            self._counters.fail(call.method, timeout)
        self._note_state()

    # What happens on the lane's thread

    def _run(self) -> None:
        # A sink that publishes would wait for its own lane.
        self._brake.exempt()
        with self._working:
            try:
                self._deliver()
            except BaseException as error:  # noqa: BLE001 - nothing but a fault of this module, or of a handler of its log
                self._health.fault(error)
                for cursor in self._ledger.cursors:
                    self._give_up(cursor, error)
            if self._serving.reaching.error is not None and not self._serving.left:
                # Also where it was to be tried again, but there was nothing to deliver.
                self._health.fault(self._serving.reaching.error)
            _, refused = self._calls.attempt("disconnect", self.sink.disconnect)
            if refused is not None:
                # What a destination says when it is let go may well be that it has not kept what it was given.
                self._health.fault(refused)
            self._ended = True
            self._brake.release(self._serving)
            self._note_state()

    def _give_up(self, cursor: Cursor, error: BaseException) -> None:
        """Leave a stream because of a fault of this module; another fault keeps no other stream here."""
        try:
            cursor.give_up(error)
            self._serving.settle(cursor)
        except Exception:  # a fault again
            log.exception("sink %r: stream %r is left as it is", self.id, cursor.stream.id)

    def _deliver(self) -> None:
        while not self._serving.done:
            wake_at = self._serving.round()
            self._note_state()
            # The round may have settled the last stream, and then nobody will ring again.
            if not self._serving.done:
                self._sleep(wake_at)

    def _sleep(self, wake_at: float) -> None:
        now = monotonic()
        wake_at = min(wake_at, self._serving.pace.look_at(now))
        was, self._attentive = self._attentive, self._serving.pace.flows or self._serving.idle
        if was and not self._attentive:
            # What has been written since this lane looked was written without a word to anybody.
            self._dispatcher.attend()
        self._working.release()
        try:
            self._bell.wait(wake_at - now)
        finally:
            self._working.acquire()

    def _size(self, text: str) -> int:
        """How large the sink says that `text` is."""
        size, error = self._calls.attempt("size", lambda: self.sink.size(text))
        if error is not None:
            raise error
        assert size is not None, "nothing was raised"
        return size

    def _note_state(self) -> None:
        self._health.note(self.state, self._trouble)

    def _trouble(self) -> str:
        """Why it is degraded."""
        stalled = self.stalled_in
        return f"{stalled}() has not returned" if stalled else self._calls.trouble
