"""The last lines on stderr: what failed, what is missing where, and where it is kept; few, however many streams."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from streamfan.cli import console
from streamfan.terminal import visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streamfan.report import Report

# Who wants to know of more has asked for the summary as JSON.
_NAMED = 10


def say_failed_streams(report: Report) -> None:
    """Say which streams have failed as they were made."""
    failed = [(stream.id, stream.error) for stream in report.streams if stream.error is not None]
    lines = [f"stream {id!r} failed: {_told(error)}" for id, error in failed]
    _say("Error", lines, report.metrics.ended_by("error"), "failed")


def say_cancelled_streams(report: Report) -> None:
    """Say which streams were stopped, why and by whom."""
    stopped = [stream for stream in report.streams if stream.cancelled is not None]
    # By anybody who may ask, and they may call themselves anything.
    lines = [f"stream {stream.id!r} was cancelled: {visible_line(stream.cancelled or '')}" for stream in stopped]
    _say("streamfan", lines, report.metrics.ended_by("cancelled"), "cancelled")


def say_missing(report: Report) -> None:
    """Say which sinks were not given everything."""
    for sink in report.sinks:
        if sink.failed:
            console.say(f"{'Error' if sink.required else 'Warning'}: {sink}")


def say_kept(kept: Sequence[Path]) -> None:
    """Say what to do with the recordings of what was not delivered."""
    if kept:
        of, path = "", quote(str(kept[0]))
        if len(kept) > 1:
            of, path = f" of {len(kept):,} streams", f"{quote(str(kept[0].parent))}/*.jsonl"
        console.say(f"streamfan: what was not delivered{of} is kept; try: streamfan replay {path} --sink ...")


def say_unkept(streams: int) -> None:
    """Say of how many streams what was not delivered could not be kept either."""
    if streams:
        console.say(f"Error: what was not delivered of {streams:,} stream{'s' if streams > 1 else ''} is not kept")


def _told(error: str) -> str:
    """An error of a source, which may be what a recording or a server says: it forges no other line."""
    _, *advice = error.split("\n")
    return error if all(line.startswith("Try: ") for line in advice) else visible_line(error)


def _say(who: str, lines: Sequence[str], total: int, what: str) -> None:
    """Say the first lines, and how many streams `what` holds for besides; a report remembers not all of them."""
    for line in lines[:_NAMED]:
        console.say(f"{who}: {line}")
    more = total - len(lines[:_NAMED])
    if more > 0:
        console.say(f"{who}: {more:,} {'more ' if lines else ''}stream{'s' if more > 1 else ''} {what}")
