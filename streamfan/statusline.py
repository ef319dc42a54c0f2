r"""The bottom line of a terminal, kept for a status while text goes on above it.

The terminal itself keeps the two apart: the line is left out of the region that scrolls, and drawn from a saved cursor.
So the text's bytes are the same as without it. One thing not every terminal saves: that a row is full and that the next
character begins a new one. Whoever writes text to the same terminal therefore does it within `SCREEN.text`, and the
line is drawn only where the cursor surely stands inside a row.
"""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One for the text at least, and one that would be left over.
_FEWEST_ROWS = 3
_TAB = 8
# Before anything was shown.
_WIDTH = 80
# How long the way out waits for somebody who is in the middle of writing.
_PATIENCE = 0.2


Cells = tuple[int, int]
"""How many cells some text takes: at least, at most. Terminals differ about emoji, accents and the like."""


class Screen:
    """The terminal that stderr is, as far as text and a status share it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._cells: Cells | None = (0, 0)
        self._columns = _WIDTH
        self._rows = 0
        self._going = False

    @property
    def width(self) -> int:
        """Cells that a status may have; 0 where none can be shown."""
        size = self._size()
        return 0 if size is None or size.lines < _FEWEST_ROWS else max(size.columns - 1, 0)

    @contextmanager
    def text(self, text: str) -> Iterator[None]:
        """While it is entered, `text` is written to a terminal, and nothing else is."""
        with self._lock:
            # Until it is out: nobody knows where the cursor is.
            before, self._cells = self._cells, None
            yield
            known = before is not None or "\n" in text
            self._cells = _moved(before or (0, 0), text, self._columns) if known else None
            if self._going:
                self.hide()

    def show(self, status: str) -> None:
        """Show `status`, at most `width` cells wide, unless that would cost the text a character just now.

        Raises:
            OSError: Stderr does not take it.
        """
        size = self._size()
        if size is None:
            return
        with self._lock:
            # A terminal need not know how wide it is.
            self._columns = size.columns or _WIDTH
            if not self._safe:
                return
            self._going = False
            keep = "" if size.lines == self._rows else _keep_bottom(size.lines)
            self._rows = size.lines
            _write(f"{keep}\x1b7\x1b[{size.lines};1H\x1b[2K{status}\x1b[0m\x1b8")

    def hide(self, *, at_once: bool = False) -> None:
        """Give the line back; with the next text if it would cost a character of it now, unless `at_once`."""
        with self._lock:
            self._hide(at_once=at_once)

    def leave(self) -> None:
        """Give the line back whatever goes on: the process ends."""
        if self._lock.acquire(timeout=_PATIENCE):
            try:
                self._hide(at_once=True)
            finally:
                self._lock.release()

    def disown(self) -> None:
        """In a child process after `fork`: the line is the parent's."""
        self._lock = threading.RLock()
        self._rows, self._going = 0, False

    def _hide(self, *, at_once: bool) -> None:
        if not self._rows:
            return
        self._going = not (at_once or self._safe)
        if not self._going:
            rows, self._rows = self._rows, 0
            # Nobody is left to be told where stderr does not take it.
            with suppress(OSError, ValueError):
                _write(f"\x1b7\x1b[r\x1b[{rows};1H\x1b[2K\x1b8")

    @property
    def _safe(self) -> bool:
        if not _shared():
            return True
        if self._cells is None:
            return False
        fewest, most = self._cells
        # No full row among the numbers of cells that there may be.
        return most // self._columns == (max(fewest, 1) - 1) // self._columns

    @staticmethod
    def _size() -> os.terminal_size | None:
        try:
            return os.get_terminal_size(sys.stderr.fileno()) if sys.stderr.isatty() else None
        except (AttributeError, OSError, ValueError):
            return None


def _keep_bottom(rows: int) -> str:
    """Leave the last of `rows` out of the region that scrolls; the cursor stays where it is, relative to the text."""
    # Index and up: a cursor on the last row moves off it, and what is above scrolls. Setting the region moves it home.
    return f"\x1bD\x1b[A\x1b7\x1b[1;{rows - 1}r\x1b8"


def _shared() -> bool:
    """Whether stdout is the same terminal."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False


def _write(data: str) -> None:
    # In one piece: what else writes to the terminal comes before or after it.
    sys.stderr.write(data)
    sys.stderr.flush()


def _moved(cells: Cells, text: str, width: int) -> Cells:
    """How many cells the text takes since its last newline, after `text`."""
    _, newline, line = text.rpartition("\n")
    fewest, most = (0, 0) if newline else cells
    for character in line:
        least, greatest = _width(character, most % width)
        # A wide one that no longer fits in its row leaves a cell free.
        spare = 1 if greatest > 1 and (most + greatest) % width <= most % width else 0
        fewest, most = fewest + least, most + greatest + spare
    return fewest, most


def _width(character: str, column: int) -> Cells:
    """How many cells it takes, in one terminal or another."""
    if character == "\t":
        return 0, _TAB - column % _TAB
    if character.isascii():
        return 1, 1
    category = unicodedata.category(character)
    if category[0] in "MC":
        return 0, 1
    wide = unicodedata.east_asian_width(character)
    if category == "So" or wide == "A":
        # Emoji, and what is wide in the East only.
        return 1, 2
    return (2, 2) if wide in "WF" else (1, 1)


SCREEN = Screen()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SCREEN.disown)
