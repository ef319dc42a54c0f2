"""Markdown on a terminal while it is being written: finished blocks are printed once, and only the last one is live.

The text is a model's, so whatever it holds is made harmless: before it is parsed, and again what parsing has made of
it, for Markdown can name characters. Links show where they lead.
"""

from __future__ import annotations

import os
import sys
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from streamfan.cli.blocks import Blocks
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink
from streamfan.terminal import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.segment import Segment

    from streamfan.events import Chunk, End, StreamInfo

# As often as an eye follows; each time at most half a screen is drawn.
_LINGER = 0.05
_FEWEST_LINES = 4


def is_wanted() -> bool:
    """Whether stdout is a terminal that can show it."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class MarkdownSink(Sink):
    """Shows streams on the terminal, one after the other; of several rows the first."""

    name = "stdout"
    delivery = Delivery.AT_MOST_ONCE
    lane_defaults = LaneOptions(linger=_LINGER, sequential=True)

    def connect(self) -> None:
        """Make ready what draws."""
        from rich.console import Console

        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._held: dict[tuple[str, int], int] = {}

    def open(self, stream: StreamInfo) -> int:
        """Begin a text."""
        key = (stream.id, stream.attempt)
        if key not in self._held and _is_answer(stream):
            self._begin()
        return self._held.setdefault(key, 0)

    def write(self, chunk: Chunk) -> None:
        """Show more of it."""
        # Set first: what has failed is not drawn twice.
        self._held[chunk.stream.id, chunk.stream.attempt] = chunk.end
        if self._live is not None and _is_answer(chunk.stream):
            for block in self._blocks.feed(chunk.text):
                self._live.console.print(_Harmless(block))
            self._live.update(_Harmless(self._blocks.rest), refresh=True)

    def close(self, stream: StreamInfo, end: End) -> None:
        """Finish it, on a line of its own."""
        self._held.pop((stream.id, stream.attempt), None)
        if self._live is not None and _is_answer(stream):
            self.disconnect()
            for block in self._blocks.finish():
                self._console.print(_Harmless(block))

    def disconnect(self) -> None:
        """Give the cursor back."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _begin(self) -> None:
        from rich.live import Live

        size = self._console.size
        self._blocks = Blocks(max(_FEWEST_LINES, size.height // 2 - 2), size.width)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()


def _is_answer(stream: StreamInfo) -> bool:
    """Whether it is what was asked for: not what goes beside it, as a model's reasoning does, nor another choice."""
    return stream.row == 0 and "of" not in stream.meta


class _Harmless:
    """A block as Markdown, in which no character does anything but be seen."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.markdown import Markdown
        from rich.segment import Segment

        if not self._source.strip():
            yield Segment.line()
            return
        # hyperlinks: the text of a link could say something else than where it leads.
        markdown: Any = Markdown(visible(self._source), code_theme="ansi_dark", hyperlinks=False)
        lines = console.render_lines(markdown, options, pad=False)
        # Blank lines are where the text has some.
        while lines and _is_blank(lines[-1]):
            lines.pop()
        for line in dropwhile(_is_blank, lines):
            yield from (Segment(visible(segment.text), segment.style) for segment in line if not segment.control)
            yield Segment.line()


def _is_blank(line: list[Segment]) -> bool:
    return not any(segment.text.strip() for segment in line)
