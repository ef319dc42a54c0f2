"""Recordings: streams as lines of JSON, one event each, that can be published again.

What the `file` sink writes with `format=jsonl` is one, and so is what is kept of text that a sink was not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.errors import WireError
from streamfan.events import Start, Text, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamfan.events import Event
    from streamfan.stream import Stream


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a recording.

    Attributes:
        number: Counted from 1.
        event: None where the line is damaged.
        damage: What is wrong with it; empty if nothing is.
    """

    number: int
    event: Event | None
    damage: str = ""


def record(stream: Stream) -> Iterator[bytes]:
    """The recording of a stream that has ended, line by line, with the pieces that it was written in."""
    yield encode(Start.of(stream.info)) + b"\n"
    for chunk in stream.chunks():
        yield encode(Text.of(chunk)) + b"\n"
    if stream.outcome is not None:
        yield encode(stream.outcome) + b"\n"


def lines(data: Iterable[bytes]) -> Iterator[Line]:
    """The lines of a recording, those without anything in them left out."""
    for number, line in enumerate(data, 1):
        if not line.strip():
            continue
        try:
            yield Line(number, decode(line))
        except WireError as error:
            torn = "" if line.endswith(b"\n") else "; it is the last line, and not whole"
            yield Line(number, None, str(error).partition("\n")[0] + torn)
