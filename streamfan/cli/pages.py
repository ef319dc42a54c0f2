"""What is installed, laid out for people: a table of names, and the options of one of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from streamfan.terminal import visible, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from streamfan.config.described import OptionDescription
    from streamfan.plugins import Listing

# Where nobody sees the end of a line there is no reason to break one.
_ENDLESS = 10_000


def table(listings: Sequence[Listing]) -> RenderableType:
    """A line for each."""
    from rich.table import Table

    table = Table("name", "distribution", "version", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for listing in listings:
        table.add_row(*map(visible, (listing.name, listing.distribution, listing.version)))
    return table


def options(title: str, options: Sequence[OptionDescription]) -> Iterable[RenderableType]:
    """Each with its type, limits, default and variable; nothing where there are none."""
    from rich.table import Table
    from rich.text import Text

    if not options:
        return
    yield ""
    yield Text(title, "bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    for option in options:
        default = "required" if option.required else f"default {option.default}" if option.default else "no default"
        first = ", ".join(filter(None, (option.type, option.limits, default, f"${option.variable}")))
        name = Text(visible_line(f"  {option.name}"), "cyan", no_wrap=True)
        table.add_row(name, f"{visible_line(first)}\n{visible(option.description)}")
    yield table


def show(parts: Iterable[RenderableType]) -> None:
    """Print them, one below the other."""
    console = _console()
    with console.capture() as captured:
        for part in parts:
            # A plugin says what it likes of itself.
            console.print(visible(part) if isinstance(part, str) else part)
    lines = (line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
    # Through click and not by rich itself, which ends the program when a pipe is closed; colours are decided already.
    click.echo("\n".join(lines), color=True)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout is not None and sys.stdout.isatty() else _ENDLESS
    # Neither markup nor emoji codes: brackets and colons here are what they are.
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)
