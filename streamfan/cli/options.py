"""The options that several commands have, said once."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, TypeVar, get_args

import click

from streamfan.cli import completing
from streamfan.config import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., object]")

_SINKS = (
    click.option(
        "-s",
        "--sink",
        "sinks",
        multiple=True,
        metavar="[ID=]NAME[:TARGET]",
        shell_complete=completing.sink_specs,
        help="Deliver to this sink, too; repeatable.",
    ),
    click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="ID.KEY=VALUE",
        shell_complete=completing.options,
        help="Set an option of a sink, or source.KEY=VALUE of the source; repeatable.",
    ),
    click.option("--config", metavar="FILE", help="A streamfan.toml; $STREAMFAN_CONFIG unless given."),
)
_GENERATION = (
    click.option(
        "-m",
        "--model",
        metavar="MODEL",
        help="A model's folder or hub id (a small bundled one unless given), or its name at a server.",
    ),
    click.option(
        "--source",
        metavar="NAME[:TARGET]",
        shell_complete=completing.source_names,
        help="Where the text comes from: transformers (default), openai:URL, stdin, ...; see streamfan sources.",
    ),
    click.option(
        "-n",
        "--max-new-tokens",
        type=int,
        metavar="N",
        help="Generate N tokens at most (a model here: 256 unless given).",
    ),
    click.option("-t", "--temperature", type=float, metavar="T", help="0 is greedy; the model's own unless given."),
    click.option("--seed", type=int, metavar="N", help="Make sampling repeatable."),
    click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable."),
)
_PROGRESS = (click.option("--progress/--no-progress", default=None, help="Show on stderr how far it has come, live."),)
_DELIVERY = (
    click.option("--spill-dir", metavar="DIR", help="Keep what a sink was not given, as recordings in this folder."),
    click.option("--metrics-file", metavar="PATH", help="Keep this file up to date with metrics, as Prometheus text."),
    click.option(
        "--on-sink-failure",
        type=click.Choice(["continue", "abort"]),
        help="Whether to go on when a required sink has failed (default continue).",
    ),
    click.option("-q", "--quiet/--no-quiet", default=None, help="Do not write the text to stdout."),
    click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for everything."),
    click.option(
        "--summary", type=click.Choice(get_args(Summary)), help="What each sink was given, on stderr at the end."
    ),
)


def sinks(command: F) -> F:
    """Adds the options that say which sinks there are."""
    return _with(_SINKS, command)


def generation(command: F) -> F:
    """Adds the options that say what is generated."""
    return _with(_GENERATION, command)


def progress(command: F) -> F:
    """Adds the option of a command that can show how far it has come."""
    return _with(_PROGRESS, command)


def delivery(command: F) -> F:
    """Adds the options of a command that publishes to sinks."""
    return _with(_DELIVERY, command)


def _with(options: Sequence[Callable[[F], F]], command: F) -> F:
    # The last one that is added is the first one in --help.
    return reduce(lambda done, option: option(done), reversed(options), command)
