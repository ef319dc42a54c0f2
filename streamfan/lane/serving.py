"""What one lane does for its streams, round by round: who is due, one step for each, and what becomes of it.

Whoever calls holds the lane's lock, which is let go of while the sink is at work.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.cursor import Step
from streamfan.errors import Permanent, SinkBehind, SinkClosed, SinkTimeout
from streamfan.lane.backlog import Relief
from streamfan.lane.calls import forget_frames
from streamfan.lane.outage import Outage
from streamfan.lane.pace import Pace
from streamfan.lane.reaching import Reaching
from streamfan.lane.steps import Steps
from streamfan.retry import may_pass

if TYPE_CHECKING:
    from streamfan.brake import Brake
    from streamfan.cursor import Cursor
    from streamfan.lane.backlog import Backlog
    from streamfan.lane.calls import Calls
    from streamfan.lane.health import Health
    from streamfan.lane.ledger import Ledger
    from streamfan.options import LaneOptions
    from streamfan.sink import Sink


class Serving:
    """Serves the streams of a ledger, for the lane's thread; also gives those up that are too far behind, for any.

    Attributes:
        pace: Whether text flows.
        reaching: How far connecting has come.
        retrying: The streams whose last call has failed, and will be made again.
        deadline: When to stop delivering, on the monotonic clock.
        finishing: Whether there are no more streams to come.
        left: Whether the destination has closed by itself, as a pipe does.
        idle: Whether every stream was given up.
    """

    def __init__(
        self,
        sink: Sink,
        options: LaneOptions,
        calls: Calls,
        ledger: Ledger,
        backlog: Backlog,
        health: Health,
        brake: Brake,
    ) -> None:
        self.pace = Pace(options.linger)
        self.reaching = Reaching(options)
        self.retrying: set[Cursor] = set()
        self.deadline = inf
        self.finishing = False
        self.left = False
        self.idle = False
        self._sink = sink
        self._options = options
        self._calls = calls
        self._steps = Steps(sink, calls)
        self._ledger = ledger
        self._backlog = backlog
        self._health = health
        self._brake = brake
        self._outage = Outage()
        # Whose call is under way, so that nobody else may settle it.
        self._serving: Cursor | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is owed to any stream, and none will come."""
        return self.finishing and not self._ledger.cursors

    def round(self) -> float:
        """Serve every stream that is due, once, and say when the next one will be."""
        if self.left:
            self._let_go(None)
        elif monotonic() >= self.deadline:
            self._let_go(SinkTimeout("the time for delivery was over"))
        elif not self.reaching.connected and not self._reach():
            return min(self.reaching.at, self.deadline)
        cursors = self._ledger.cursors
        wake_at, served = inf, False
        self.idle = all(cursor.over for cursor in cursors)
        for cursor in cursors[:1] if self._options.sequential else cursors:
            if cursor.dormant and (cursor.beat_at == inf or monotonic() < cursor.beat_at):
                wake_at = min(wake_at, cursor.beat_at)
                continue
            due = cursor.due(monotonic())
            if self._left_off and not (cursor.over or cursor.owes_only_close):
                # The call for another stream took all the time, or was the last that the destination wanted.
                return 0.0
            if due <= monotonic() and not self._held(cursor):
                self._serve(cursor)
                served = True
                due = cursor.due(monotonic())
            wake_at = min(wake_at, max(due, self._outage.until), self._beat(cursor))
        if self._backlog.full or (self.pace.flows and monotonic() >= self._backlog.look_at):
            # At once: a publisher may wait for it.
            self.relieve()
        if served and not (len(cursors) == 1 and self.pace.flows and not self.left and self._ledger.cursors):
            # Calls take time, and change what the others may do: look again before sleeping.
            return 0.0
        return wake_at if monotonic() >= self.deadline else min(wake_at, self.deadline)

    @property
    def _left_off(self) -> bool:
        """Whether nothing more is to be delivered."""
        return self.left or monotonic() >= self.deadline

    def _reach(self) -> bool:
        """Connect the sink, or plan the next try; a destination that was given up is tried again for a new stream."""
        reaching = self.reaching
        if self._health.failing and not self._ledger.cursors:
            reaching.rest()
            return False
        # At the end nobody waits for a destination that was given up before.
        last = self.finishing and self._health.failing
        if reaching.at != inf and monotonic() < reaching.at and not last:
            return False
        _, error = self._calls.attempt("connect", self._sink.connect)
        if error is None:
            self._health.failing = False
            reaching.worked()
            return True
        if not reaching.failed(error, monotonic(), self.deadline, last=last):
            self._not_reached(error)
        return False

    def _not_reached(self, error: BaseException) -> None:
        self.left = isinstance(error, SinkClosed)
        if not self.left:
            self._health.fault(error)
            self._let_go(error)
        self.reaching.give_up()

    def _held(self, cursor: Cursor) -> bool:
        """Whether it is not this stream's turn to try a destination that is down."""
        outage = self._outage
        now = monotonic()
        if outage.error is None or not outage.on or now >= min(outage.at, self.deadline):
            return False
        cursor.hold(outage.error, now)
        return True

    def _serve(self, cursor: Cursor) -> None:
        self._serving = cursor
        step, error = self._next_step(cursor)
        # Whoever looked after this lane meanwhile may have given the stream up.
        wanted = step is not None and (step is Step.CLOSE or not cursor.over)
        if step is not None and wanted and error is None:
            error = self._steps.take(cursor, step)
        self._serving = None
        if error is not None:
            self._failed(cursor, step or Step.WRITE, error)
        elif step is not None and wanted:
            self._worked(cursor, step)
        (self.retrying.add if cursor.retrying else self.retrying.discard)(cursor)
        if cursor.done:
            self.settle(cursor)
        elif isinstance(cursor.error, SinkBehind):
            self._ledger.settle(cursor)

    def _next_step(self, cursor: Cursor) -> tuple[Step | None, BaseException | None]:
        try:
            return cursor.step(), None
        except BaseException as error:  # noqa: BLE001 - foreign code: the sink is asked for the size of a piece
            forget_frames(error)
            return Step.WRITE, error

    def _worked(self, cursor: Cursor, step: Step) -> None:
        if step is Step.WRITE:
            self.pace.wrote(monotonic())
        # Where a stream is opened again and again, and each write fails, nothing has worked.
        if step is not Step.OPEN and cursor.error is None:
            self._health.failing = False
        if step is not Step.OPEN:
            self._backlog.progress(monotonic())
            self._outage.worked()
        elif not cursor.retrying:
            self._backlog.progress(monotonic())
            self._outage.opened()

    def _failed(self, cursor: Cursor, step: Step, error: BaseException) -> None:
        now = monotonic()
        if isinstance(error, SinkClosed):
            self.left = True
            cursor.give_up(None, step)
            return
        cursor.failed(error, step, now, self.deadline)
        if cursor.error is error:
            self._health.fault(error)
        if may_pass(error):
            self._outage.failed(cursor, error, now, opening=step is Step.OPEN)
            if self._outage.on:
                self._give_up_those_out_of_time(error, now)

    def _give_up_those_out_of_time(self, error: BaseException, now: float) -> None:
        """What one stream has met at a destination that is down, all have met."""
        for cursor in self._ledger.cursors:
            if cursor.out_of_time(now) or now >= self.deadline:
                # One that was given up before has been waiting to be closed.
                cursor.give_up(error, Step.CLOSE if cursor.over else None)
                self._health.fault(error)
                if cursor.done:
                    self.settle(cursor)

    def _beat(self, cursor: Cursor) -> float:
        """Beat if it is time to; says when it will be."""
        if self._sink.heartbeat is None or not cursor.beating:
            return inf
        if monotonic() >= cursor.beat_at:
            # A beat that fails is not retried, the next one comes; a write will tell whether the destination is gone.
            error = self._steps.beat(cursor)
            self._health.beaten(error)
            if isinstance(error, Permanent):
                # A stream that another writer has taken over, say: no later beat and no write will work.
                cursor.give_up(error)
                self._health.fault(error)
        return cursor.beat_at

    def _let_go(self, error: BaseException | None) -> None:
        """Deliver no more of any stream; those that were opened are still closed."""
        for cursor in self._ledger.cursors:
            if not (cursor.over or cursor.owes_only_close):
                cursor.give_up(error)
                self.retrying.discard(cursor)
                if error is not None:
                    self._health.fault(error)
            if cursor.done:
                self.settle(cursor)

    def settle(self, cursor: Cursor) -> None:
        """Owe nothing more to a stream."""
        self.retrying.discard(cursor)
        self._outage.forget(cursor)
        self._ledger.remove(cursor)

    # What happens when it is too far behind, on its own thread or the clock's

    def relieve(self) -> None:
        """Look how far behind the lane is, and do about it what `when_full` says."""
        now = monotonic()
        relief = self._backlog.measure(self._ledger.cursors, now)
        if relief is Relief.GIVE_UP:
            self._leave_behind(now)
        elif relief is Relief.SKIP:
            for cursor in self._backlog.late:
                cursor.skip()
        if self._options.when_full == "block":
            (self._brake.hold if self._backlog.full else self._brake.release)(self)

    def _leave_behind(self, now: float) -> None:
        """Give up every stream that is behind, and settle it: its text is kept no longer than it is generated."""
        for cursor in self._backlog.late:
            cursor.give_up(error := self._backlog.error(cursor, now))
            self._health.fault(error)
            self.retrying.discard(cursor)
            if cursor is self._serving:
                continue
            if cursor.done:
                self.settle(cursor)
            else:
                self._ledger.settle(cursor)
        self._backlog.measure(self._ledger.cursors, now)
