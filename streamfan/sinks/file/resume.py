"""Going on with a text that a killed process has left unfinished, half a character at its end included.

The text comes again from its beginning. As long as the file has something, it is compared with it, and nothing is
written; so whoever is wrong about what the file holds is told, and spoils nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.sinks.file.append import AppendFile

if TYPE_CHECKING:
    from streamfan.sinks.file.location import Location


class ResumedFile(AppendFile):
    """A file whose content is written once more: compared where it is there, appended where it is not."""

    _compared = 0
    _held = 0

    def append(self, data: bytes, *, own_line: bool = False) -> None:
        """See `AppendFile.append`.

        Raises:
            Permanent: Also where the file holds something else.
        """
        whole = self._on_own_line(data) if own_line else data
        there = self._read(len(whole))
        if not whole.startswith(there):
            raise differs(self.location, self._compared + common(whole, there))
        if len(there) < len(whole):
            self._write(whole[len(there) :])
        self._at_line_start = whole.endswith(b"\n")
        self._compared += len(there)

    def check_end(self) -> None:
        """Refuse a file that goes on where the text has ended.

        Raises:
            Permanent: It does.
        """
        if self._compared < self._held:
            raise differs(self.location, self._compared)

    def _begin(self, *, empty: bool) -> None:
        check_regular(self.location, regular=self._handle.regular)
        self._held = self._handle.size

    def _read(self, size: int) -> bytes:
        """The next bytes that have not been compared, `size` at most."""
        wanted, data = min(size, self._held - self._compared), b""
        while len(data) < wanted:
            piece = os.pread(self._handle.descriptor, wanted - len(data), self._compared + len(data))
            if not piece:
                raise Permanent(f"{self.location} was cut off by another program")
            data += piece
        return data


def check_regular(location: Location, *, regular: bool) -> None:
    """Refuse to resume what cannot be read again.

    Raises:
        Permanent: It is a device or a pipe.
    """
    if not regular:
        raise Permanent(f"{location} cannot be resumed: it is not a regular file\nTry: the option mode=append")


def differs(location: Location, position: int, stream: str | None = None) -> Permanent:
    """The error for a sink to raise where a file holds another text.

    Args:
        position: The first byte that differs: of the file, or of the text of `stream` in it.
    """
    where = f"byte {position:,}" if stream is None else f"byte {position:,} of stream {stream!r}"
    return Permanent(
        f"{location} cannot be resumed: from {where} on it differs from what comes\n"
        "Try: another path, or the option mode=overwrite to replace it"
    )


def common(first: bytes, second: bytes) -> int:
    """How many bytes both begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(first), len(second)))
