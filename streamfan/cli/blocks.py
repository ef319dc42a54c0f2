"""Markdown that is still being written, cut into blocks: those that will not look different any more, and a rest.

Each line is looked at once, and the rest is bounded: a block that grows too long is cut at a line or a word. So what it
costs to show a text grows with the text, however it is made.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(\s|$)")
_ITEM = re.compile(r"([-*+]|\d{1,9}[.)])\s")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")


class Blocks:
    """Cuts a text.

    Args:
        lines: How many lines the rest may have.
        width: How many characters go into one.
    """

    def __init__(self, lines: int, width: int) -> None:
        self._max_lines = lines
        self._max_length = lines * width
        self._finished: list[str] = []
        self._lines: list[str] = []
        self._length = 0
        self._partial = ""
        # What must come first for the lines to mean what they mean: the fence of code, the head of a table.
        self._head: list[str] = []
        self._fence = ""
        self._blank = False

    @property
    def rest(self) -> str:
        """The block that is not finished; it may still become something else."""
        blank = [""] if self._blank and self._lines else []
        return "\n".join([*self._head, *self._lines, *blank, self._partial])

    def feed(self, text: str) -> list[str]:
        """Take more text; the blocks that are finished now. An empty one is a blank line."""
        first, *others = text.split("\n")
        self._extend(first)
        for piece in others:
            line, self._partial = self._partial, ""
            self._take(line)
            self._extend(piece)
        finished, self._finished = self._finished, []
        return finished

    def finish(self) -> list[str]:
        """The text is over: what is left."""
        line, self._partial = self._partial, ""
        if line:
            self._take(line)
        self._cut()
        finished, self._finished = self._finished, []
        return finished

    def _extend(self, text: str) -> None:
        """Go on with the line that is being written; one that never ends is cut between words."""
        self._partial += text
        while self._length + len(self._partial) > self._max_length:
            if not self._lines:
                at = self._partial.rfind(" ", 0, self._max_length) + 1 or self._max_length
                self._lines, self._partial = [self._partial[:at]], self._partial[at:]
            self._cut(keep_head=True)

    def _take(self, line: str) -> None:
        """Take a line that is complete."""
        if self._fence:
            self._take_code(line)
        elif not line.strip():
            self._blank = True
            if not self._in_item:
                self._cut()
        else:
            self._take_text(line)

    def _take_code(self, line: str) -> None:
        self._add(line)
        stripped = line.strip()
        if stripped.startswith(self._fence) and not stripped.strip(self._fence[0]):
            self._fence = ""
            self._cut()
        elif len(self._lines) >= self._max_lines:
            self._cut(keep_head=True)

    def _take_text(self, line: str) -> None:
        continued = self._in_item and line[0].isspace()
        fence = None if continued else _FENCE.match(line)
        alone = not continued and _HEADING.match(line)
        if fence or alone or (not continued and (self._blank or _ITEM.match(line))):
            self._cut()
        elif self._blank:
            self._add("")
            self._blank = False
        if fence:
            self._fence, self._head = fence[1], [line]
            return
        self._add(line)
        if len(self._lines) == 2 and _TABLE_RULE.match(line) and "|" in self._lines[0]:
            self._head, self._lines = self._lines, []
        if alone:
            self._cut()
        elif len(self._lines) >= self._max_lines:
            self._cut(keep_head=True)

    @property
    def _in_item(self) -> bool:
        return bool(self._lines) and _ITEM.match(self._lines[0]) is not None

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._length += len(line)

    def _cut(self, *, keep_head: bool = False) -> None:
        """Finish the block."""
        if self._lines or (self._head and not keep_head):
            self._finished.append("\n".join([*self._head, *self._lines]))
        self._lines, self._length = [], 0
        if not keep_head:
            self._head = []
        if self._blank:
            self._finished.append("")
            self._blank = False
