"""`streamfan sources`: where text can come from, and everything about one source."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from streamfan.cli import pages
from streamfan.cli.completing import source_names
from streamfan.plugins import plugins
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from streamfan.config.described import SourceDescription


@click.command()
@click.argument("name", required=False, shell_complete=source_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sources(name: str | None, *, as_json: bool) -> None:
    """Show which sources are installed, or all about one.

    The list imports none of them. With NAME, a source's name or URL scheme, that one is shown with its options, their
    types, defaults and environment variables, and an example.
    """
    if name is None:
        listings = plugins().installed("source")
        if as_json:
            click.echo(json.dumps([asdict(listing) for listing in listings], indent=2, ensure_ascii=False))
        else:
            pages.show([pages.table(listings)])
    elif as_json:
        click.echo(json.dumps(asdict(_described(name)), indent=2, ensure_ascii=False))
    else:
        pages.show(_page(_described(name)))


def _described(name: str) -> SourceDescription:
    from streamfan.config.described import describe_source

    source = plugins().source(name)
    return describe_source(source, next(it for it in plugins().installed("source") if it.name == name))


def _page(source: SourceDescription) -> Iterable[RenderableType]:
    from rich.text import Text

    yield Text.assemble((source.name, "bold"), f": {visible(source.summary)}")
    yield ""
    yield f"takes      {', '.join(source.accepts) or 'nothing but its target'}"
    yield f"from       {source.distribution} {source.version}"
    if source.aliases:
        yield f"schemes    {', '.join(source.aliases)}"
    yield from pages.options("Options, -o source.KEY=VALUE or [source]", source.options)
    yield ""
    yield Text("Example", "bold")
    yield f"  {source.example}"
