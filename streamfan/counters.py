"""What lanes and streams count as they work, and the values that say it.

Nothing is counted on the producer's thread: lanes count on their own, and a stream is counted when it has ended. All
counters only grow; whoever reads them meanwhile may see one that is a call behind another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from streamfan.durations import Durations, Histogram
from streamfan.errors import Permanent, Retryable, SinkClosed
from streamfan.events import FINISH_REASONS
from streamfan.flow import Amount, Flow, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from streamfan.events import FinishReason

_SEND_BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Those of OpenTelemetry's gen_ai.server.time_to_first_token and .time_per_output_token; a small model is faster still.
_TTFT_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TPOT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class ErrorType(StrEnum):
    """What kind of error a call to a sink has met; few, so that they can be told apart in a graph."""

    BUSY = "busy"
    """`Retryable`: not now, said the destination."""
    REFUSED = "refused"
    """`Permanent`."""
    TIMED_OUT = "timed_out"
    """Nothing came in time, or the call had not returned when it was abandoned."""
    CONNECTION_FAILED = "connection_failed"
    OS_ERROR = "os_error"
    """Any other `OSError`: a full disk, a missing permission."""
    OTHER = "other"

    @classmethod
    def of(cls, error: BaseException) -> ErrorType:
        """The kind that `error` is of."""
        return next((kind for type_, kind in _ERROR_TYPES if isinstance(error, type_)), cls.OTHER)


# The first that fits: some of these are subclasses of later ones.
_ERROR_TYPES: tuple[tuple[type[BaseException], ErrorType], ...] = (
    (Retryable, ErrorType.BUSY),
    (Permanent, ErrorType.REFUSED),
    (TimeoutError, ErrorType.TIMED_OUT),
    (ConnectionError, ErrorType.CONNECTION_FAILED),
    (OSError, ErrorType.OS_ERROR),
)


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Errors of one kind, in one method of a sink."""

    stage: str
    error_type: ErrorType
    count: int


@dataclass(frozen=True, slots=True)
class DiscardCount:
    """What will not be delivered any more, for one reason."""

    reason: Reason
    intentional: bool
    events: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkMetrics:
    """What a lane has counted, over all streams; all but the two of the buffer only grow.

    Attributes:
        received: What was written to the streams that the sink is given.
        sent: What the sink has taken; once, also where it was sent again.
        discarded: What will not be delivered any more; for every reason, also where it is nothing.
        errors: Calls that raised, or were abandoned; only those that there were.
        buffer_bytes: What waits, or is on its way.
        buffer_max_bytes: How much of it the lane option `buffer_bytes` allows; never changes.
        send_duration: How long calls of `write` took that returned.
    """

    received: Amount
    sent: Amount
    discarded: tuple[DiscardCount, ...]
    errors: tuple[ErrorCount, ...]
    buffer_bytes: int
    buffer_max_bytes: int
    send_duration: Histogram


class Counters:
    """What one lane counts.

    Args:
        buffer_max_bytes: See `SinkMetrics`.
    """

    def __init__(self, buffer_max_bytes: int) -> None:
        self._buffer_max_bytes = buffer_max_bytes
        self._errors: dict[tuple[str, ErrorType], int] = {}
        self._sends = Durations(_SEND_BOUNDS)
        self._settled = Flow()

    def fail(self, stage: str, error: BaseException) -> None:
        """Count a call of the method `stage` that raised `error`, or was abandoned for it."""
        if not isinstance(error, SinkClosed):
            key = stage, ErrorType.of(error)
            self._errors[key] = self._errors.get(key, 0) + 1

    def send(self, seconds: float) -> None:
        """Count a call of `write` that returned."""
        self._sends.add(seconds)

    def settle(self, flow: Flow) -> None:
        """Count a stream that has ended, and that the lane has done with."""
        self._settled += flow

    def read(self, flows: Iterable[Flow]) -> SinkMetrics:
        """All so far, and the streams that are not settled."""
        flow = sum(flows, self._settled)
        discarded = ((reason, flow.discarded.get(reason, Amount())) for reason in Reason)
        return SinkMetrics(
            received=flow.received,
            sent=flow.sent,
            discarded=tuple(DiscardCount(why, why.intentional, it.events, it.bytes) for why, it in discarded),
            errors=tuple(ErrorCount(*key, count) for key, count in sorted(self._errors.copy().items())),
            buffer_bytes=flow.buffer_bytes,
            buffer_max_bytes=self._buffer_max_bytes,
            send_duration=self._sends.read(),
        )


@dataclass(frozen=True, slots=True)
class EndCount:
    """Streams that have ended in one way."""

    finish_reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMetrics:
    """What streams have counted, all together; all but `running` only grow.

    Attributes:
        running: Streams that have not ended.
        ended: Streams that have; for every finish reason, also where there are none.
        bytes: UTF-8 bytes of text.
        tokens: Token ids.
        ttft: From opening to the first text, of streams that have ended.
        tpot: Time per token after the first text, of streams that have ended, with two tokens or more.
    """

    running: int
    ended: tuple[EndCount, ...]
    bytes: int
    tokens: int
    ttft: Histogram
    tpot: Histogram

    def ended_by(self, finish_reason: FinishReason) -> int:
        """How many streams have ended that way."""
        return next(ended.count for ended in self.ended if ended.finish_reason == finish_reason)


class Measured(Protocol):
    """What is counted of a stream."""

    length: int
    tokens: int

    @property
    def finish_reason(self) -> FinishReason | None:
        """How it ended; None while it has not."""

    @property
    def ttft(self) -> float | None:
        """Seconds to its first text; None if there was none."""

    @property
    def tpot(self) -> float | None:
        """Seconds per token; None where that cannot be told."""


class StreamCounters:
    """What the streams of a fan count."""

    def __init__(self) -> None:
        self._ended: dict[str, int] = dict.fromkeys(FINISH_REASONS, 0)
        self._bytes = 0
        self._tokens = 0
        self._ttft = Durations(_TTFT_BOUNDS)
        self._tpot = Durations(_TPOT_BOUNDS)

    def end(self, stream: Measured) -> None:
        """Count a stream that has ended."""
        if stream.finish_reason is not None:
            self._ended[stream.finish_reason] += 1
        self._bytes += stream.length
        self._tokens += stream.tokens
        if stream.ttft is not None:
            self._ttft.add(stream.ttft)
        if stream.tpot is not None:
            self._tpot.add(stream.tpot)

    def read(self, running: Collection[Measured]) -> StreamMetrics:
        """All so far, and the streams that were not counted yet."""
        return StreamMetrics(
            running=len(running),
            ended=tuple(EndCount(reason, count) for reason, count in self._ended.items()),
            bytes=self._bytes + sum(stream.length for stream in running),
            tokens=self._tokens + sum(stream.tokens for stream in running),
            ttft=self._ttft.read(),
            tpot=self._tpot.read(),
        )
