"""Standard output, as a command prints there what comes from elsewhere."""

from __future__ import annotations

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
        try:
            self._stream.write(text)
            self._stream.flush()
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
