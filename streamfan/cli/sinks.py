"""`streamfan sinks`: what is installed, and everything about one sink."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli.completing import sink_names
from streamfan.errors import UsageError
from streamfan.plugins import plugins
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from streamfan.config.described import OptionDescription, SinkDescription
    from streamfan.plugins import Listing

# Where nobody sees the end of a line there is no reason to break one.
_ENDLESS = 10_000


@click.command()
@click.argument("name", required=False, shell_complete=sink_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the options of every sink.")
def sinks(name: str | None, *, as_json: bool) -> None:
    """Show which sinks are installed, or all about one.

    The list alone imports none of them. With NAME, a sink's name or URL scheme, that one is shown with its options,
    their types, defaults and environment variables, and an example.
    """
    if as_json:
        click.echo(json.dumps(_described(name) if name else _all_described(), indent=2, ensure_ascii=False))
    elif name:
        _print(_page(_described_sink(name)))
    else:
        _print([_table(plugins().installed("sink"))])


def _described_sink(name: str) -> SinkDescription:
    from streamfan.config.described import describe

    sink = plugins().sink(name)
    return describe(sink, next(listing for listing in plugins().installed("sink") if listing.name == name))


def _described(name: str) -> dict[str, Any]:
    return asdict(_described_sink(name))


def _all_described() -> list[dict[str, Any]]:
    """Every sink once, under its own name and not its schemes; a broken one with its error."""
    found: dict[str, dict[str, Any]] = {}
    for listing in plugins().installed("sink"):
        try:
            described = _described(listing.name)
        except UsageError as error:
            described = {**asdict(listing), "error": str(error)}
        found.setdefault(described["name"], described)
    return list(found.values())


def _table(listings: Sequence[Listing]) -> RenderableType:
    from rich.table import Table

    table = Table("name", "distribution", "version", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for listing in listings:
        table.add_row(*map(visible, (listing.name, listing.distribution, listing.version)))
    return table


def _page(sink: SinkDescription) -> Iterable[RenderableType]:
    from rich.text import Text

    yield Text.assemble((sink.name, "bold"), f": {sink.summary}")
    yield ""
    yield f"delivery   {sink.delivery}"
    yield f"from       {sink.distribution} {sink.version}"
    if sink.aliases:
        yield f"schemes    {', '.join(sink.aliases)}"
    yield from _options(f"Options, -o {sink.name}.KEY=VALUE or [sinks.{sink.name}]", sink.options)
    yield from _options(f"Options of its lane, -o {sink.name}.lane.KEY=VALUE or [sinks.{sink.name}.lane]", sink.lane)
    yield ""
    yield Text("Example", "bold")
    yield f"  {sink.example}"


def _options(title: str, options: Sequence[OptionDescription]) -> Iterable[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    if not options:
        return
    yield ""
    yield Text(title, "bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    for option in options:
        default = "required" if option.required else f"default {option.default}" if option.default else "no default"
        first = f"{option.type}, {default}, ${option.variable}"
        table.add_row(Text(f"  {option.name}", "cyan", no_wrap=True), f"{first}\n{visible(option.description)}")
    yield table


def _print(parts: Iterable[RenderableType]) -> None:
    console = _console()
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    lines = (line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
    # Through click and not by rich itself, which ends the program when a pipe is closed; colours are decided already.
    click.echo("\n".join(lines), color=True)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout is not None and sys.stdout.isatty() else _ENDLESS
    # Neither markup nor emoji codes: brackets and colons here are what they are.
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)
