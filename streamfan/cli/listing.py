"""The recent streams of a Redis, as a table or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streamfan.cli import console
from streamfan.cli.output import Output
from streamfan.events import now
from streamfan.subscriber.recent import recent
from streamfan.terminal import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from streamfan.redis.address import Address
    from streamfan.subscriber.recent import RecentStream

_HEADINGS = ("stream", "model", "age", "state", "bytes")


def list_recent(address: Address, prefix: str, count: int, *, as_json: bool) -> None:
    """Print the `count` most recent streams, the latest first, and say so if there are more.

    Raises:
        ServerError: The server does not answer, or refuses.
    """
    output = Output()
    found = recent(address, prefix, count + 1)
    more, found = len(found) > count, found[:count]
    if as_json:
        output.write_json(json.dumps([_plain(stream) for stream in found], indent=2, ensure_ascii=False) + "\n")
    elif found:
        output.write("".join(f"{line}\n" for line in _table([_HEADINGS, *map(_row, found)])))
    else:
        console.say(f"streamfan: no streams at {address}")
    if more:
        console.say(f"streamfan: there are more streams than these {count:,}\nTry: --count {10 * count}")


def _row(stream: RecentStream) -> tuple[str, ...]:
    return (stream.id, stream.model or "", _age(stream.opened), stream.state, f"{stream.bytes:,}")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    # A model's name may hold anything, and a newline would forge a row.
    shown = [[visible_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _plain(stream: RecentStream) -> dict[str, Any]:
    """By the names of the wire format, where it has one."""
    said = asdict(stream)
    opened = None if stream.opened is None else stream.opened.isoformat()
    return {"stream": said.pop("id"), **said, "opened": opened}


def _age(opened: datetime | None) -> str:
    if opened is None:
        return ""
    seconds = max(0, int((now() - opened).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
