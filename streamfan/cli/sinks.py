"""`streamfan sinks`: what is installed, and everything about one sink."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli import pages
from streamfan.cli.completing import sink_names
from streamfan.errors import UsageError
from streamfan.plugins import plugins
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from streamfan.config.described import SinkDescription


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
        pages.show(_page(_described_sink(name)))
    else:
        pages.show([pages.table(plugins().installed("sink"))])


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


def _page(sink: SinkDescription) -> Iterable[RenderableType]:
    from rich.text import Text

    yield Text.assemble((sink.name, "bold"), f": {visible(sink.summary)}")
    yield ""
    yield f"delivery   {sink.delivery}"
    yield f"from       {sink.distribution} {sink.version}"
    if sink.aliases:
        yield f"schemes    {', '.join(sink.aliases)}"
    yield from pages.options(f"Options, -o {sink.name}.KEY=VALUE or [sinks.{sink.name}]", sink.options)
    yield from pages.options(
        f"Options of its lane, -o {sink.name}.lane.KEY=VALUE or [sinks.{sink.name}.lane]", sink.lane
    )
    yield ""
    yield Text("Example", "bold")
    yield f"  {sink.example}"
