"""How far it has come as one line: with colours and a bar for a terminal, and as plain words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamfan.sinks.progress.reading import Reading

_BAR = 12
_GAP = "  "


def words(reading: Reading) -> str:
    """The line in plain words."""
    what = ", ".join(filter(None, (reading.amount, reading.speed, reading.first, reading.ended)))
    behind = ", ".join(reading.delays)
    return f"streamfan: {reading.name}: {what}{f'; behind: {behind}' if behind else ''}"


def row(reading: Reading, width: int) -> str:
    """The line for a terminal, at most `width` cells wide; without colours where `NO_COLOR` is set."""
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=width, highlight=False, legacy_windows=False)
    parts = (Text(reading.amount, "bold"), reading.speed, reading.first, Text(", ".join(reading.delays), "cyan"))
    line = Text("  ").join(Text.assemble(part) for part in parts if part)
    # Of what is not counted nobody knows how much of it there is.
    is_counted = reading.tokens or not reading.bytes
    if reading.max_tokens and is_counted and line.cell_len + len(_GAP) + _BAR <= width:
        bar = ProgressBar(total=reading.max_tokens, completed=reading.tokens, width=_BAR)
        console.print(bar, end="")
        line = Text(_GAP) + line
        width -= _BAR
    line.truncate(width, overflow="ellipsis")
    console.print(line, end="", no_wrap=True)
    return drawn.getvalue()
