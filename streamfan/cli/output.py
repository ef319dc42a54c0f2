"""Standard output, as a command prints there what comes from elsewhere."""

from __future__ import annotations

import os
import select
import sys

from streamfan.errors import StreamfanError
from streamfan.terminal import visible, visible_json


class Output:
    """Standard output; what is written is out when `write` returns, and harmless where that is a terminal.

    Raises:
        StreamfanError: It is closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise StreamfanError("standard output is closed")
        self._stream = sys.stdout
        self._terminal = sys.stdout.isatty()
        self._at_line_start = True

    def write(self, text: str) -> None:
        """Write `text`.

        Raises:
            StreamfanError: It does not take it.
            BrokenPipeError: Nobody reads it any more.
        """
        if text:
            self._write(visible(text) if self._terminal else text)

    def write_json(self, text: str) -> None:
        """Write JSON, which stays that also on a terminal; raises what `write` does."""
        self._write(visible_json(text) if self._terminal else text)

    def _write(self, text: str) -> None:
        self._at_line_start = text.endswith("\n")
        # Past the stream's buffer, which drops what a pipe has no room for that does not block.
        left = memoryview(text.encode(self._stream.encoding, self._stream.errors or "strict"))
        try:
            self._stream.flush()
            while left:
                left = left[_write_some(self._stream.fileno(), left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamfanError(f"standard output cannot be written to: {error}") from None

    def begin_line(self) -> None:
        """Let what follows begin on a line of its own."""
        if not self._at_line_start:
            self.write("\n")

    def finish(self) -> None:
        """Let what is said next on a terminal begin on a line of its own."""
        if self._terminal:
            self.begin_line()


def _write_some(descriptor: int, data: memoryview) -> int:
    """Write what there is room for, and say how much that was."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        # Another program that has the same pipe or terminal has made it non-blocking.
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll()
        return 0
