"""What became of it all: values that say what each sink was given, for people, for programs and for exit codes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from streamfan.counters import SinkMetrics, StreamMetrics
from streamfan.errors import SinksFailed
from streamfan.events import FinishReason
from streamfan.intervals import Intervals


class State(StrEnum):
    """The state of a lane: the aggregate of its streams."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """One stream at one sink.

    Attributes:
        bytes: How far the sink got, in UTF-8 bytes of the stream's text.
        chunks: Calls of `write` that returned.
        retries: Calls that were made again.
        lost: Bytes below `bytes` that an at-most-once sink may not have delivered.
        skipped: Bytes below `bytes` that were left out, and that the sink was told of.
        missing: Bytes of the stream's text that were never delivered.
        complete: Whether the sink was given everything, and closed the stream.
        sha256: Over the first `bytes` bytes; None where some of them are lost or skipped.
        error: Why it failed; None if it did not.
    """

    sink: str
    bytes: int
    chunks: int
    retries: int
    lost: int
    skipped: int
    missing: int
    complete: bool
    sha256: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """One stream, and what became of it at each sink.

    Attributes:
        bytes: UTF-8 bytes of its text.
        tokens: How many there are, by their ids or by the producer's count; None where nobody has counted any.
        ttft: Seconds from opening to the first text; None if there was none.
        duration: Seconds from opening to the end; None while it runs.
        tpot: Seconds per token after the first text; None while it runs, and where there are fewer than two tokens.
        intervals: Tokens per second, and the time between them; None while it runs, and where there are no two.
        error: The producer's error; None if there was none.
        cancelled: Why it was stopped, and by whom; None if nobody has.
    """

    id: str
    attempt: int
    row: int
    model: str | None
    finish_reason: FinishReason | None
    error: str | None
    bytes: int
    tokens: int | None
    ttft: float | None
    duration: float | None
    tpot: float | None
    intervals: Intervals | None
    sha256: str | None
    deliveries: tuple[DeliveryReport, ...]
    cancelled: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReport:
    """One sink, over all streams.

    Attributes:
        target: Where it delivers to, without secrets.
        streams: Streams that this sink was to be given.
        complete: Streams that it was given completely.
        bytes, chunks, retries, lost, skipped, missing: Sums over its streams, see `DeliveryReport`.
        lag: Seconds that the oldest text not yet delivered has waited.
        max_lag: The longest that any text has waited.
        waiting_in: The method that has not returned within `call_timeout`, or that was abandoned; None if none.
        error: The last error that counted; None if there was none.
        trouble: Why it is degraded; None if it is not.
        left: Whether the destination closed by itself, as a pipe does.
        metrics: What to watch while it works.
    """

    id: str
    name: str
    target: str | None
    required: bool
    guarantee: str
    state: State
    streams: int
    complete: int
    bytes: int
    chunks: int
    retries: int
    lost: int
    skipped: int
    missing: int
    lag: float
    max_lag: float
    waiting_in: str | None
    error: str | None
    trouble: str | None
    left: bool
    metrics: SinkMetrics

    @property
    def failed(self) -> bool:
        """Whether it was not given something, for any reason but having left by itself."""
        return not self.left and (self.error is not None or self.lost + self.skipped + self.missing > 0)

    def __str__(self) -> str:
        # What to try comes last.
        reason, line, advice = (self.error or self.trouble or self._state).partition("\n")
        what = [reason] if reason else []
        if self.missing:
            what.append(f"{self.missing:,} bytes not delivered")
        if self.lost:
            what.append(f"{self.lost:,} bytes perhaps lost")
        if self.skipped:
            what.append(f"{self.skipped:,} bytes skipped")
        if self.waiting_in and self.waiting_in not in reason:
            what.append(f"{self.waiting_in}() has not returned")
        said = "; ".join(what) + line + advice
        return said if said.startswith(f"sink {self.id!r}") else f"sink {self.id!r}: {said}"

    @property
    def _state(self) -> str:
        # Who lacks something and has met no trouble had no time: that is no state to be called ok.
        return "" if self.failed and self.state in {State.OK, State.CLOSED} else str(self.state)


@dataclass(frozen=True, slots=True)
class Report:
    """What a fan has done: totals for each sink, and the last streams.

    Attributes:
        sinks: One report for each sink, in the order they were added.
        streams: The last 1,000 streams that are finished everywhere, oldest first, then those that are not.
        finished: How many streams are finished everywhere, since the fan was made.
        metrics: What to watch of all streams together.
    """

    sinks: tuple[SinkReport, ...]
    streams: tuple[StreamReport, ...]
    finished: int
    metrics: StreamMetrics

    def __str__(self) -> str:
        return "\n".join(f"{sink}; {sink.bytes:,} bytes delivered" for sink in self.sinks) or "no sinks"

    @property
    def failures(self) -> tuple[SinkReport, ...]:
        """The required sinks that were not given everything."""
        return tuple(sink for sink in self.sinks if sink.required and sink.failed)

    def raise_for_failures(self) -> None:
        """Raise `SinksFailed` if a required sink was not given everything."""
        if self.failures:
            raise SinksFailed("\n".join(map(str, self.failures)))

    def to_dict(self) -> dict[str, Any]:
        """The report in plain types, as `--summary json` prints it."""
        return asdict(self)
