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
    from typing import Protocol

    from streamfan.events import Chunk, Event
    from streamfan.stream import Stream

    class Readable(Protocol):
        """A file of bytes."""

        def readline(self, size: int, /) -> bytes:
            """The next line, or its first bytes."""


LONGEST_LINE = 64 << 20
"""Bytes that a line of a recording may have; many times what the `file` sink writes with the usual `max_bytes`."""

_LARGEST_PIECE = 1 << 20
# What editors on Windows begin a file with.
_MARK = b"\xef\xbb\xbf"


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
    """The recording of a stream that has ended, line by line, with the pieces that it was written in, or smaller."""
    yield encode(Start.of(stream.info)) + b"\n"
    for chunk in _pieces(stream):
        yield encode(Text.of(chunk)) + b"\n"
    if stream.outcome is not None:
        yield encode(stream.outcome) + b"\n"


def _pieces(stream: Stream) -> Iterator[Chunk]:
    for chunk in stream.chunks():
        offset = chunk.offset
        while offset < chunk.end:
            data = stream.read(offset, min(_LARGEST_PIECE, chunk.end - offset))
            yield stream.chunk(offset, data)
            offset += len(data)


def read_lines(file: Readable) -> Iterator[bytes]:
    """The lines of a file; what is no recording, and may be one line without an end, is not read into memory.

    Raises:
        WireError: A line is longer than any of a recording.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise WireError(f"line {number:,} is longer than {LONGEST_LINE >> 20} MiB, as none of a recording is")
        yield line


def lines(data: Iterable[bytes]) -> Iterator[Line]:
    """The lines of a recording, those without anything in them left out."""
    for number, read in enumerate(data, 1):
        line = read.removeprefix(_MARK) if number == 1 else read
        if not line.strip():
            continue
        try:
            yield Line(number, decode(line))
        except WireError as error:
            torn = "" if line.endswith(b"\n") else "; it is the last line, and not whole"
            yield Line(number, None, str(error).partition("\n")[0] + torn)
