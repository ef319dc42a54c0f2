"""How far streams have come, read from a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamfan.report import Report, SinkReport, StreamReport


@dataclass(frozen=True, slots=True)
class Reading:
    """How far some streams have come, all together.

    Attributes:
        name: The stream's id, or how many there are.
        tokens: How many are known of; 0 where the text comes without ids, until its producer has said how many.
        max_tokens: How many there can be; None where that is not known.
        rate: Tokens per second, or bytes where there are no tokens, since the first text; None before there is any.
        ttft: Seconds to the first text, of the stream that took longest; None while there is none.
        lags: For each other sink, seconds that its oldest undelivered text has waited; text where it has failed.
        ended: How the streams have ended; None while one runs.
    """

    name: str
    tokens: int
    bytes: int
    max_tokens: int | None
    rate: float | None
    ttft: float | None
    lags: tuple[tuple[str, float | str], ...]
    ended: str | None

    @property
    def amount(self) -> str:
        """How much there is, of how much."""
        if not self.tokens and self.bytes:
            return f"{self.bytes:,} bytes"
        limit = "" if self.max_tokens is None else f" of {self.max_tokens:,}"
        return f"{self.tokens:,}{limit} tokens"

    @property
    def speed(self) -> str | None:
        """How fast it comes."""
        if self.rate is None:
            return None
        return f"{self.rate:,.1f} tokens/s" if self.tokens else f"{self.rate:,.0f} bytes/s"

    @property
    def first(self) -> str | None:
        """When it began to come."""
        return None if self.ttft is None else f"first after {self.ttft:.2f} s"

    @property
    def delays(self) -> tuple[str, ...]:
        """How far behind each sink is."""
        return tuple(f"{id} {lag if isinstance(lag, str) else f'{lag * 1000:,.0f} ms'}" for id, lag in self.lags)


@dataclass(frozen=True, slots=True)
class Watched:
    """A stream that is shown.

    Attributes:
        max_tokens: How many tokens it can have.
        opened: When it was opened, by the monotonic clock.
    """

    id: str
    attempt: int
    max_tokens: int | None
    opened: float


def read(report: Report, watched: Collection[Watched], now: float, *, without: str) -> Reading:
    """Read it.

    Args:
        watched: One stream at least.
        now: The monotonic clock's time.
        without: The name of the sink that shows it, which is not shown.
    """
    found = {(it.id, it.attempt): it for it in report.streams}
    pairs = [(it, found.get((it.id, it.attempt))) for it in watched]
    streams = [stream for _, stream in pairs if stream is not None]
    limits = [it.max_tokens for it in watched]
    firsts = [stream.ttft for stream in streams if stream.ttft is not None]
    ends = {str(stream.finish_reason) for stream in streams if stream.finish_reason is not None}
    over = all(stream is not None and stream.finish_reason is not None for _, stream in pairs)
    return Reading(
        name=next(iter(watched)).id if len(watched) == 1 else f"{len(watched)} streams",
        tokens=sum(stream.tokens or 0 for stream in streams),
        bytes=sum(stream.bytes for stream in streams),
        max_tokens=sum(limit or 0 for limit in limits) if all(limits) else None,
        rate=_rate([(it, stream) for it, stream in pairs if stream is not None], now),
        ttft=max(firsts, default=None),
        lags=tuple((sink.id, _lag(sink)) for sink in report.sinks if sink.name != without),
        ended=", ".join(sorted(ends)) if over else None,
    )


def _lag(sink: SinkReport) -> float | str:
    return "left" if sink.left else "failed" if sink.error is not None else sink.lag


def _rate(pairs: list[tuple[Watched, StreamReport]], now: float) -> float | None:
    """All that came after the first text, by the time from the first of them to the last."""
    begun = [(it.opened + stream.ttft, it, stream) for it, stream in pairs if stream.ttft is not None]
    if not begun:
        return None
    first = min(at for at, _, _ in begun)
    last = max(now if stream.duration is None else it.opened + stream.duration for _, it, stream in begun)
    tokens = sum(max(0, (stream.tokens or 0) - 1) for _, _, stream in begun)
    amount = tokens or sum(stream.bytes for _, _, stream in begun)
    return amount / (last - first) if last > first else None
