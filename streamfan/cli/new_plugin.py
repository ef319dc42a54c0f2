"""`streamfan new-plugin`: a distribution with a sink that works, to begin one's own from."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click

import streamfan
from streamfan.cli.template import write_copy
from streamfan.errors import SpecError, StreamfanError, UsageError
from streamfan.plugins import plugins
from streamfan.specs import check_id

# What a file system takes, less what is put before it.
_LONGEST = 64

EPILOG = """
\b
Examples:
  streamfan new-plugin kafka
  streamfan new-plugin kafka --directory ~/projects

NAME becomes the name of the sink, --sink NAME; the distribution is then called streamfan-NAME, and its module
streamfan_NAME.
"""

_NEXT = """\
{folder} is a sink that works: it sends to a collector, which is there too.

Try it:
  cd {folder}
  python -m venv .venv && . .venv/bin/activate
  pip install --upgrade pip
  pip install --editable . --group test
  pytest
  streamfan sinks {name}

Then make it yours: README.md says what each file is for, and streamfan_{name}/sink.py is where to begin."""


@click.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where the folder streamfan-NAME is made; here unless given.",
)
def new_plugin(name: str, directory: Path) -> None:
    """Make a distribution of your own, with a sink that passes its tests as it stands."""
    name = name.removeprefix("streamfan-")
    _check(name)
    folder = directory / f"streamfan-{name}"
    if os.path.lexists(folder):
        raise UsageError(f"{str(folder)!r} is there already\nTry: another name, or --directory DIR")
    try:
        write_copy(name, folder)
    except OSError as error:
        raise StreamfanError(f"{str(folder)!r} cannot be made: {error.strerror}") from error
    click.echo(_NEXT.format(folder=shlex.quote(str(folder)), name=name))


def _check(name: str) -> None:
    """Refuse what could not be used: a distribution, a module, classes and options are named after it.

    Raises:
        UsageError: It cannot be an id, or something is called so already.
    """
    try:
        check_id(name)
    except SpecError as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"{why}\nTry: streamfan new-plugin {_fit(name)}") from None
    if len(name) > _LONGEST:
        raise UsageError(f"{name!r} is longer than {_LONGEST} characters\nTry: a shorter name")
    if name.startswith("test"):
        raise UsageError(f"pytest would take classes for tests that are called after {name!r}\nTry: another name")
    for word in (f"{name.capitalize()}Sink", f"{name.capitalize()}Options"):
        if word in streamfan.__all__:
            raise UsageError(f"{word} would be a name of yours, and is one of streamfan's\nTry: another name")
    for listing in plugins().installed("sink"):
        if listing.name == name:
            raise UsageError(f"there is a sink {name!r} already, from {listing.origin}\nTry: another name")


def _fit(name: str) -> str:
    """A name much like this one, that can be an id."""
    fit = re.sub(r"[^a-z0-9]", "", name.lower(), flags=re.ASCII).lstrip("0123456789")
    return fit if fit and fit != name else f"my{name if fit else 'sink'}"
