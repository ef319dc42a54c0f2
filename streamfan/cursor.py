"""One stream in one lane: how far it is, what it owes its sink, and what happened so far.

No thread and no call to a sink is in here, but for the question how large a piece is: a cursor decides, its lane acts.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from streamfan.boundary import next_piece
from streamfan.errors import HistoryTrimmed, SinkTimeout, text_of
from streamfan.events import Gap
from streamfan.flow import Amount, Flow, Reason
from streamfan.report import DeliveryReport
from streamfan.retry import Backoff
from streamfan.sink import Delivery, Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk, End
    from streamfan.options import LaneOptions
    from streamfan.stream import Stream


class Step(Enum):
    """The next call that a cursor wants its lane to make."""

    OPEN = "open"
    WRITE = "write"
    GAP = "gap"
    CLOSE = "close"


class Cursor:
    """One stream in one lane.

    Attributes:
        offset: UTF-8 bytes that the sink has taken.
        over: Nothing more is delivered, whatever is left.
        chunk: The chunk in flight; kept after a failure, so that a retry has the same offset and the same bytes.
        gap: The gap in flight, in its place.
        done: Nothing is owed any more.
        finished: The sink was given everything, and has closed the stream.
        settled: What became of the stream is in the lane's books.
        error: Why the stream failed at this sink; None if it has not.

    Args:
        size: Asks the sink for the size of a piece, and may take long; may raise what the sink raises.
    """

    def __init__(
        self, stream: Stream, sink: Sink, options: LaneOptions, size: Callable[[str], int] | None = None
    ) -> None:
        self.stream = stream
        self.offset = 0
        self.chunk: Chunk | None = None
        self.gap: Gap | None = None
        self.done = False
        self.finished = False
        self.settled = False
        self.error: BaseException | None = None
        self.chunks = 0
        self.retries = 0
        self.lost = 0
        self._sent_events = 0
        self._sent_bytes = 0
        self._in_doubt = Amount()
        self.max_lag = 0.0
        self.beat_at = inf
        self._sink = sink
        self._options = options
        self._size = size or sink.size
        # Whether any text may be delivered that is not too large, and what is too large is counted in its own bytes.
        self._plain = options.boundary == "chunk" and type(sink).size is Sink.size
        self._backoff = Backoff(options.max_elapsed)
        self._retry_at = 0.0
        self._opened = False
        self._ready = False
        self.over = False
        self._furthest = 0
        # How much an earlier program has left there, where that is more than there is text of it so far.
        self._awaited = 0
        # Up to here the sink is told of a gap and not given the text; and the gaps that it was told of.
        self._skip_to = 0
        self._gaps: list[Gap] = []
        self._progress = 0
        self._failed_step: Step | None = None
        self._no_boundary_below = 0
        self._dormant_at = -1
        # None once it cannot be told: where text was given again before which nothing is kept.
        self._hash: hashlib._Hash | None = hashlib.sha256()

    @property
    def retrying(self) -> bool:
        """Whether the last call failed and will be made again."""
        return not self.done and self._backoff.failures > 0

    @property
    def owes_only_close(self) -> bool:
        """Whether all text was taken, and closing is all that is left."""
        return self._opened and self._taken

    @property
    def waiting(self) -> int:
        """How many bytes of text the sink has not taken, and is to be given."""
        return 0 if self.over else self.stream.length - self.offset

    @property
    def waiting_since(self) -> float | None:
        """When the oldest text that the sink is to be given was written; None if there is none."""
        # In this order: what has let go of its stream is over.
        stream, offset = self.stream, self.offset
        return stream.written_at(offset) if not self.over and stream.length > offset else None

    @property
    def skipped(self) -> int:
        """How many bytes the sink was told of instead of being given them."""
        return sum(gap.end - gap.offset for gap in self._gaps)

    @property
    def beating(self) -> bool:
        """Whether the sink is to be told that the producer lives."""
        return self._opened and not (self.done or self.over)

    @property
    def complete(self) -> bool:
        """Whether the sink was given the whole text."""
        return self._taken and not self.lost and not self._gaps

    @property
    def _taken(self) -> bool:
        return not self.over and self.stream.ended and self.offset == self.stream.length

    def due(self, now: float) -> float:
        """When the next call is due, on the monotonic clock; `inf` while there is nothing to do.

        Args:
            now: The same clock. A lane that is awake takes text along that has waited half of its linger: it would have
                to be woken again for it.
        """
        wanted = self._wanted_at()
        if wanted - now <= self._options.linger / 2:
            wanted = min(wanted, now)
        due = inf if self.done else max(self._retry_at, wanted)
        self._dormant_at = self.stream.length if due == inf else -1
        return due

    @property
    def dormant(self) -> bool:
        """Whether nothing was due, and nothing has come since: what a lane asks first, for it may have many streams."""
        return self._dormant_at == self.stream.length and self.stream.finish_reason is None

    def late(self, now: float) -> bool:
        """Whether the sink has not taken text that does not wait for more, or for its end."""
        return self.waiting > 0 and (self.retrying or self._wanted_at() <= now)

    def _wanted_at(self) -> float:
        if self.over:
            # There is no end event before the stream has ended, and so nothing to close it with.
            return 0.0 if self.stream.ended else inf
        if not self._ready or self.stream.ended:
            return 0.0
        if self._awaited:
            # Before all else: what was in flight, or to be skipped, the destination has.
            return 0.0 if self.stream.length >= self._awaited else inf
        if self.chunk is not None or self._skip_to > self.offset:
            return 0.0
        if self.stream.length == max(self.offset, self._no_boundary_below):
            return inf
        return self.stream.written_at(self.offset) + self._options.linger if self.offset else 0.0

    def step(self) -> Step | None:
        """The call that is wanted now, with `chunk` set where it is a write; None while there is nothing to do."""
        # Asked before the text is looked at: whatever is written before the end is seen.
        ended = self.stream.ended
        if self.over:
            return Step.CLOSE if ended else None
        if not self._ready:
            return Step.OPEN
        if self._awaited and not self._arrived(ended):
            return None
        if self.chunk is None and self._skip_to > self.offset:
            self.gap = self.gap or self._next_gap()
            self._furthest = max(self._furthest, self.gap.end)
            return Step.GAP
        if self.chunk is None and self.stream.length > self.offset:
            try:
                self.chunk = self._take(ended)
            except HistoryTrimmed as error:
                # Let go in the very moment in which the destination was found to lack it.
                self.give_up(error)
                return Step.CLOSE if ended else None
        if self.chunk is not None:
            self._furthest = max(self._furthest, self.chunk.end)
            return Step.WRITE
        return Step.CLOSE if ended and self.stream.length == self.offset else None

    def _arrived(self, ended: bool) -> bool:
        """Whether there is as much text as the destination has; from there on the sink is given it."""
        held = self._awaited
        if not ended and self.stream.length < held:
            return False
        self._awaited = 0
        if not self.stream.is_boundary(held):
            raise ValueError(f"open() returned {held}, which is no end of a character in {self.stream.length} bytes")
        self._move_to(held)
        self._note_progress()
        return True

    def _next_gap(self) -> Gap:
        info = self.stream.info
        return Gap(stream=info.id, attempt=info.attempt, offset=self.offset, end=self._skip_to)

    def _take(self, ended: bool) -> Chunk | None:
        stream, options = self.stream, self._options
        waiting = stream.length - self.offset
        data = stream.read(self.offset, options.max_bytes)
        full = len(data) < waiting
        if self._plain and not full:
            # What nearly every sink is given nearly always, without a look at its characters.
            return stream.chunk(self.offset, data)
        patient = options.boundary == "all" and not ended
        piece = (
            ""
            if patient
            else next_piece(
                data.decode(), options.boundary, last=ended, full=full, size=self._size, limit=options.max_bytes
            )
        )
        if not piece:
            self._no_boundary_below = self.offset + waiting
            return None
        return stream.chunk(self.offset, piece.encode())

    # What came of a call

    def opened_at(self, held: int | None) -> None:
        """`open` has returned: go on from `held`, or send again what is in doubt.

        Raises:
            ValueError: `held` is not a number of bytes that this stream can have left there.
        """
        self._opened = self._ready = True
        self._awaited = 0
        # Also where it was given up meanwhile: what is open has to be closed.
        self.done = False
        if held is None:
            self._settle_doubt()
            if self.offset < self.stream.start:
                raise ValueError(f"the text before byte {self.stream.start:,} is not kept any more")
        elif type(held) is int and held > self._furthest and self.stream.again:
            self._awaited = held
        elif type(held) is not int or held > self._furthest or not self.stream.is_boundary(held):
            raise ValueError(
                f"open() returned {held!r}, expected None or the end of a character between {self.stream.start} "
                f"and {self._furthest}"
            )
        else:
            self._move_to(held)
        if self._failed_step is Step.OPEN:
            self._backoff.reset()
        self._note_progress()

    def _settle_doubt(self) -> None:
        if self._sink.delivery is not Delivery.AT_MOST_ONCE:
            return
        if self.chunk is not None:
            self.lost += len(self.chunk.data)
            self._in_doubt += self._amount(self.chunk.offset, self.chunk.end)
            self.offset = self.chunk.end
            self.chunk = None
        elif self.gap is not None:
            # Its text is not there, whether the sink has heard of that or not.
            self._pass(self.gap)

    def _move_to(self, held: int) -> None:
        if self.chunk is not None and held != self.chunk.offset:
            self.chunk = None
        if self.gap is not None and held == self.gap.end:
            self._pass(self.gap)
        elif self.gap is not None and held != self.gap.offset:
            self.gap = None
        if held != self.offset:
            self._count_sent(held)
            self.offset = held
            self._gaps = [gap for gap in self._gaps if gap.end <= held]
            self._hash = None if self.stream.start else hashlib.sha256(self.stream.read(0, held))

    def delivered(self, chunk: Chunk, now: float) -> None:
        """`write` has returned: the sink has the chunk."""
        self.max_lag = max(self.max_lag, now - self.stream.written_at(chunk.offset))
        self._count_sent(chunk.end)
        self.offset = chunk.end
        if self._hash is not None:
            self._hash.update(chunk.data)
        self.chunks += 1
        self.chunk = None
        self._note_progress()

    def told(self, gap: Gap) -> None:
        """`gap` has returned: the sink knows of it."""
        self._pass(gap)
        self._note_progress()

    def _pass(self, gap: Gap) -> None:
        self.offset = gap.end
        self.gap = None
        self._gaps.append(gap)

    def skip(self) -> None:
        """Leave out all text that there is by now but the chunk in flight, and tell the sink."""
        self._skip_to = self.stream.length
        self._dormant_at = -1

    def _note_progress(self) -> None:
        # Text that a destination has forgotten is no progress when it gets it again: that could go on for ever.
        if self.offset > self._progress:
            self._progress = self.offset
            self._backoff.reset()

    def _count_sent(self, end: int) -> None:
        # Once: text that a destination has forgotten was counted when it had it.
        if end > self._progress:
            self._sent_events += self.stream.pieces(end) - self.stream.pieces(self._progress)
            self._sent_bytes += end - self._progress

    def closed(self) -> None:
        """`close` has returned: nothing is owed any more."""
        self.finished = self.complete
        self.done = True

    def failed(self, error: BaseException, step: Step, now: float, deadline: float) -> None:
        """A call has failed: plan the next try, or give the stream up at this sink."""
        if self.over and step is not Step.CLOSE:
            # It was given up while the call was under way.
            self.give_up(None, step)
            return
        if not self._backoff.failures:
            # The tries are those of this step: that another one works in between does not start them anew.
            self._failed_step = step
        at = self._backoff.next_try(error, now, deadline)
        if at is not None:
            self.retries += 1
            self._retry_at = at
            self._ready = False
            return
        self.give_up(error, step)

    def hold(self, error: BaseException, now: float) -> None:
        """Its destination is down by what others have met: its time begins as if it had met that too."""
        if not self._backoff.failures:
            self._failed_step = Step.WRITE if self._ready else Step.OPEN
            self._backoff.next_try(error, now, inf)

    def out_of_time(self, now: float) -> bool:
        """Whether its time for tries is over."""
        return self._backoff.exhausted(now)

    def give_up(self, error: BaseException | None, step: Step | None = None) -> None:
        """Deliver no more; what has been opened is still closed, unless that is what failed.

        Args:
            error: Why the stream has failed at this sink; None where the destination has left, which is no failure.
            step: The call that failed, if one did.
        """
        self.error = self.error or error
        self.over = True
        self._retry_at = 0.0
        self._backoff.reset()
        self.done = step is Step.CLOSE or not self._opened

    def let_go(self) -> None:
        """Keep no text of a stream that has ended and is given no more, whatever is still owed to the sink."""
        self.stream = self.stream.without_text()

    def ending(self) -> End:
        """The end event as this sink is to have it."""
        outcome = self.stream.outcome
        if outcome is None:
            raise RuntimeError(f"stream {self.stream.id!r} has not ended")
        return replace(outcome, complete=self.complete)

    def report(self, sink: str) -> DeliveryReport:
        """What became of this stream at the sink called `sink`."""
        return DeliveryReport(
            sink=sink,
            bytes=self.offset,
            chunks=self.chunks,
            retries=self.retries,
            lost=self.lost,
            skipped=self.skipped,
            missing=self.stream.length - self.offset,
            complete=self.finished,
            sha256=None if self._hash is None or self.lost or self._gaps else self._hash.hexdigest(),
            error=None if self.error is None else describe(self.error),
        )

    def flow(self, abandoned: bool = False) -> Flow:
        """Where the stream's text is; any thread may ask.

        Args:
            abandoned: The lane makes no call any more, but one may still return: what it has is not discarded yet.
        """
        length, offset, sent = self.stream.length, self.offset, Amount(self._sent_events, self._sent_bytes)
        wanted = offset if self.over else max(offset, self._furthest) if abandoned else length
        discarded = {self._reason(): self._amount(wanted, length), Reason.IN_DOUBT: self._in_doubt}
        discarded[Reason.SKIPPED] = sum((self._amount(gap.offset, gap.end) for gap in self._gaps), Amount())
        return Flow(self._amount(0, length), sent, discarded, max(0, wanted - offset))

    def _reason(self) -> Reason:
        if self.error is None:
            return Reason.LEFT
        return Reason.LATE if isinstance(self.error, SinkTimeout) else Reason.FAILED

    def _amount(self, start: int, end: int) -> Amount:
        return Amount(self.stream.pieces(end) - self.stream.pieces(start), end - start)


def describe(error: BaseException) -> str:
    """An error in one line: its text, with its type where the text does not say enough."""
    text = text_of(error)
    return (
        text
        if text and type(error).__module__.startswith("streamfan")
        else f"{type(error).__name__}: {text}"
        if text
        else type(error).__name__
    )
