"""Bytes into server-sent events.

No library is used, for none passes everything that servers send: httpx2's event source, which is httpx-sse's, loses the
first event behind a byte order mark and the last one without a blank line, refuses servers that call the stream
something else, and passes over what is no event at all without a word.

Source: the HTML standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.errors import SourceError
from streamfan.sources.openai.faults import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 16 * 1024 * 1024
"""Bytes of one event at most: what never ends must not fill the memory."""

# On bytes, where it means these and nothing else; of text, Python counts U+2028 as the end of a line too.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_OTHER_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*:")
_FIELDS = frozenset({b"data", b"event", b"id", b"retry"})


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event.

    Attributes:
        type: What the server calls it; empty where it does not say.
        data: Its data, the lines of which are joined by a newline.
        whole: False where the stream ended before the event did.
    """

    type: str
    data: str
    whole: bool = True


class EventDecoder:
    """Takes bytes in packets of any size, and gives events.

    A body that is JSON from the start is one event: so servers say that something is wrong, or that they do not stream.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False
        self._at_start = True
        self._is_json = False
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def push(self, packet: bytes) -> Iterator[ServerEvent]:
        """The events that end in `packet`.

        Raises:
            SourceError: A line that belongs to no event, or an event that is too long.
        """
        if not packet:
            return
        if self._after_return:
            packet = packet.removeprefix(b"\n")
        self._after_return = packet.endswith(b"\r")
        *lines, rest = _LINE_END.split(packet)
        for line in lines:
            self._line += line
            yield from self._end_line()
        self._line += rest
        self._check_size()

    def finish(self) -> Iterator[ServerEvent]:
        """What is left at the end of the stream; `push` is not called any more."""
        if self._line:
            yield from self._end_line()
        if self._data:
            yield self._take(whole=self._is_json)

    def _end_line(self) -> Iterator[ServerEvent]:
        self._check_size()
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            line = line.removeprefix(_BOM)
            if not line:
                return
            self._at_start = False
            self._is_json = line.lstrip().startswith((b"{", b"["))
        if self._is_json:
            self._add(line)
        elif line:
            self._read(line)
        elif self._data:
            event = self._take()
            # One that is empty only says that the server is there.
            if event.data or event.type == "error":
                yield event
        else:
            self._type = ""

    def _read(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"error":
            # A field by the look of it; servers have said so that they failed.
            self._type = "error"
            self._add(value)
        elif name and name not in _FIELDS and not _OTHER_FIELD.match(line):
            raise SourceError(f"the server sent a line that is no event: {excerpt(line.decode(errors='replace'))}")

    def _add(self, value: bytes) -> None:
        # Lines without data take room too.
        self._size += len(value) + 1
        self._data.append(value.decode(errors="replace"))

    def _take(self, *, whole: bool = True) -> ServerEvent:
        event = ServerEvent(self._type, "\n".join(self._data), whole)
        self._type, self._data, self._size = "", [], 0
        return event

    def _check_size(self) -> None:
        if self._size + len(self._line) > LONGEST:
            raise SourceError(f"the server sent an event of more than {LONGEST // 2**20} MiB")
