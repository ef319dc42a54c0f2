"""What each sink was given, as a table for people or as JSON for programs; on stderr, for stdout is the text's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streamfan.cli import console
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.table import Table
    from rich.text import Text

    from streamfan.intervals import Intervals
    from streamfan.report import DeliveryReport, Report, SinkReport, StreamReport

# Enough of a sha256 to compare by eye; the JSON has it all.
_HASH_SHOWN = 16


def show(report: Report, how: str | None, exit_code: int, kept: Iterable[Path]) -> None:
    """Print the report.

    Args:
        report: Of a fan that is closed.
        how: "table", "json" or "none"; None is a table where stderr is a terminal, else nothing.
        exit_code: What the program will exit with.
        kept: Recordings of what was not delivered.
    """
    if how == "json":
        console.say(_json({**report.to_dict(), "kept": [str(path) for path in kept], "exit_code": exit_code}))
    elif report.streams and (how == "table" or (how is None and console.on_terminal())):
        for stream in report.streams:
            console.draw(_table(stream, report))


def _json(value: dict[str, Any]) -> str:
    """JSON in which nothing is left that would be made visible: it would not be the same value then."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _table(stream: StreamReport, report: Report) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=_title(stream), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("sink", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("chunks", justify="right", no_wrap=True)
    table.add_column("lag", justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_row("(generated)", str(stream.finish_reason), f"{stream.bytes:,}", "", "", _hash(stream.sha256))
    sinks = {sink.id: sink for sink in report.sinks}
    for delivery in stream.deliveries:
        table.add_row(*_row(delivery, sinks[delivery.sink]))
    return table


def _title(stream: StreamReport) -> str:
    # Text that no tokenizer made has no tokens, and how many a server made is known only where it tells.
    parts = [] if stream.tokens is None else [f"{stream.tokens:,} tokens"]
    if stream.ttft is not None and stream.duration:
        parts.append(f"first after {stream.ttft:.2f} s, all in {stream.duration:.2f} s")
    if stream.tpot and stream.intervals is not None and stream.intervals.unit == "chunk":
        parts.append(f"{1 / stream.tpot:,.0f} tokens/s")
    if stream.intervals is not None:
        parts.append(_pace(stream.intervals))
    return visible(f"{stream.id}: {', '.join(parts)}" if parts else stream.id)


def _pace(intervals: Intervals) -> str:
    times = (("average", intervals.mean), ("p50", intervals.p50), ("p99", intervals.p99))
    between = ", ".join(f"{name} {seconds * 1000:,.1f}" for name, seconds in times)
    return f"{intervals.rate:,.0f} {intervals.unit}s/s (between {intervals.unit}s: {between} ms)"


def _row(delivery: DeliveryReport, sink: SinkReport) -> tuple[str | Text, ...]:
    from rich.text import Text

    state = (
        "complete" if delivery.complete else "left" if sink.left else "failed" if delivery.error else str(sink.state)
    )
    colour = "green" if delivery.complete else "yellow" if sink.left else "red"
    return (
        delivery.sink,
        Text(state, colour),
        f"{delivery.bytes:,}",
        f"{delivery.chunks:,}",
        f"{sink.max_lag * 1000:,.0f} ms",
        _hash(delivery.sha256),
    )


def _hash(sha256: str | None) -> str:
    return "" if sha256 is None else sha256[:_HASH_SHOWN]
