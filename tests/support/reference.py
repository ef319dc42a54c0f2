"""The pages of reference: docs/sinks.md from what sinks declare, docs/cli.md from what commands say of themselves.

Sinks that are distributions of their own are not installed here: of those it has what their pyproject.toml says.

python -m tests.support.reference            write the pages
python -m tests.support.reference --check    say whether they are as they would be written
"""

from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamfan.cli import main as program
from streamfan.config.described import describe, described_options
from streamfan.options import LaneOptions
from streamfan.plugins import plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streamfan.config.described import OptionDescription, SinkDescription

DOCS = Path(__file__).parents[2] / "docs"
_WIDTH = 100

SINKS = """\
# Sinks and their options

These are the sinks that come with streamfan. `streamfan sinks NAME` shows the same at a shell, for plugins too.
An option can be given in four places; if it is given in several of them, the first in this list counts:

1. on the command line: `-o redis.ttl=1h`; after `-s mine=redis` it is `-o mine.ttl=1h`
2. the environment: `STREAMFAN_REDIS_TTL=1h`
3. the table `[sinks.redis]` of `streamfan.toml`
4. in Python: `fan.add("redis", ttl="1h")`

A duration is a number of seconds, or has a unit: `500ms`, `10s`, `5m`, `1h`, `1d`. A size is a number of bytes, or has
a unit: `64KiB`, `10MB`. Do not write a secret into `streamfan.toml`, but say where it is: `{ env = "NAME" }` for one in
the environment, or `{ file = "PATH" }`.
"""

PLUGINS = """\
## Sinks that are distributions of their own

They are in [plugins/](../plugins). In a clone, `pip install ./plugins/streamfan-nats` installs one beside streamfan.
Then they are used as those above, and `streamfan sinks NAME` shows their options.
"""

LANES = """\
## Options of every lane

A lane is one sink at work. These options are the same for every sink, also a plugin's: `-o ID.lane.KEY=VALUE`,
`STREAMFAN_ID_LANE_KEY`, or the table `[sinks.ID.lane]`, where ID is the sink's name, or the id that you gave it
(`-s ID=NAME`). If a sink has another default, it is listed with the sink above.
"""

CLI = """\
# The command line

What each command says with `--help`.

| variable | what it does |
|---|---|
| `STREAMFAN_CONFIG` | the `streamfan.toml` to read where `--config` is not given |
| `STREAMFAN_RUN_FLAG` | any flag of `run`: `STREAMFAN_RUN_MAX_NEW_TOKENS=50` |
| `STREAMFAN_ID_KEY` | an option of the sink with this id, `STREAMFAN_REDIS_TTL=1h`: [sinks.md](sinks.md) |
| `REDIS_URL` | the Redis that is used if no URL is given |
| `NO_COLOR` | no colours, also on a terminal |
| `STREAMFAN_TRACE_PLUGINS` | `1`: say which modules of plugins are imported, in how long, and which hooks are called |
| `STREAMFAN_TRACEBACK` | `1`: show where an unexpected error comes from |

## Completion

The Tab key completes commands, sinks, sources and their options, once the start-up file of your shell has its line:

```sh
eval "$(_STREAMFAN_COMPLETE=bash_source streamfan)"     # ~/.bashrc
eval "$(_STREAMFAN_COMPLETE=zsh_source streamfan)"      # ~/.zshrc
_STREAMFAN_COMPLETE=fish_source streamfan | source      # ~/.config/fish/completions/streamfan.fish
```
"""


def sinks_page() -> str:
    """docs/sinks.md."""
    sinks = [describe(plugins().sink(listing.name), listing) for listing in plugins().installed("sink")]
    own = {sink.name: sink for sink in sinks if sink.distribution == "streamfan"}
    lane = described_options(LaneOptions)
    parts = [part for name in sorted(own) for part in _sink(own[name], lane)]
    return "\n".join([SINKS, *parts, PLUGINS, *_plugins(), LANES, *_table(lane)])


def cli_page() -> str:
    """docs/cli.md."""
    context = click.Context(program, info_name="streamfan", **program.context_settings)
    parts = [CLI]
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None, f"{name} is listed"
        parts += [f"## streamfan {name}\n", f"```\n{_help(command, context, name)}\n```\n"]
    return "\n".join(parts).rstrip("\n") + "\n"


def _sink(sink: SinkDescription, lane: Sequence[OptionDescription]) -> Iterator[str]:
    docstring = inspect.getdoc(plugins().sink(sink.name)) or ""
    yield f"## {sink.name}\n"
    # What its constructor takes is for tests.
    yield f"{docstring.partition('Args:')[0].strip()}\n"
    yield f"- If a write fails half-way: {sink.delivery}."
    if sink.aliases:
        yield f"- Its URLs may also begin with {', '.join(f'`{scheme}:`' for scheme in sink.aliases)}."
    own = zip(sink.lane, lane, strict=True)
    changed = [f"`{mine.name} = {mine.default}`" for mine, general in own if mine.default != general.default]
    if changed:
        yield f"- Its lane: {', '.join(changed)}."
    yield f"\n```sh\n{sink.example}\n```\n"
    yield from _table(sink.options)


def _plugins() -> Iterator[str]:
    yield from ("| distribution | sink | |", "|---|---|---|")
    for path in sorted(DOCS.parent.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        names = ", ".join(f"`{name}`" for name in project["entry-points"]["streamfan.sinks"])
        link = f"[{project['name']}](../plugins/{project['name']})"
        yield f"| {link} | {names} | {_cell(project['description'].removeprefix('A sink for streamfan: '))} |"
    yield ""


def _table(options: Sequence[OptionDescription]) -> Sequence[str]:
    rows = [
        f"| `{option.name}` | {_cell(option.type)} | {_default(option)} | {_cell(option.description)} |"
        for option in options
    ]
    return ["| option | type | default | |", "|---|---|---|---|", *rows, ""] if rows else []


def _default(option: OptionDescription) -> str:
    return "required" if option.required else f"`{_cell(option.default)}`" if option.default else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _help(command: click.Command, parent: click.Context, name: str) -> str:
    context = click.Context(command, parent=parent, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH)
    return command.get_help(context)


PAGES = {"sinks.md": sinks_page, "cli.md": cli_page}


def main(check: bool) -> str | None:
    """Write the pages, or compare them; returns what is wrong."""
    stale = []
    for name, page in PAGES.items():
        text, path = page(), DOCS / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"docs/{name}")
    return f"not as they would be written: {', '.join(stale)}\nTry: make docs" if stale else None


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
