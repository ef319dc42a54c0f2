"""What a shell offers when somebody presses Tab: sinks, sources, and their options.

Names come from the metadata of what is installed. Only for the options of a sink or source is it imported, that one and
no other; where it is broken nothing is offered, and the command itself will say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from streamfan.errors import StreamfanError
from streamfan.plugins import plugins
from streamfan.specs import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click
    from pydantic import BaseModel

    from streamfan.plugins import Kind

_DEFAULT_SOURCE = "transformers"


def sink_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The installed sinks, as an argument."""
    return _names("sink", incomplete)


def sink_specs(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The installed sinks, also behind the `ID=` that was typed."""
    id, equals, name = incomplete.rpartition("=")
    return _names("sink", name, before=id + equals)


def source_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The installed sources."""
    return _names("source", incomplete)


def options(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`ID.` of what is on the line, or could be, then the `KEY=` it has, then the values that can be told."""
    names = _named(context)
    id, dot, rest = incomplete.partition(".")
    if not dot:
        return [CompletionItem(f"{known}.") for known in names if known.startswith(id)]
    if id not in names:
        return []
    key, equals, value = rest.partition("=")
    try:
        fields = dict(_keys(*names[id]))
    except StreamfanError:
        return []
    if not equals:
        return [CompletionItem(f"{id}.{each}=", help=fields[each][1]) for each in fields if each.startswith(key)]
    values = fields[key][0] if key in fields else ()
    return [CompletionItem(f"{id}.{key}={each}") for each in values if each.startswith(value)]


def _names(kind: Kind, incomplete: str, before: str = "") -> list[CompletionItem]:
    found = dict.fromkeys(listing.name for listing in plugins().installed(kind))
    return [CompletionItem(before + name) for name in found if name.startswith(incomplete)]


def _named(context: click.Context) -> Mapping[str, tuple[Kind, str]]:
    """By id what the line names so far; where that is no sink, whatever is installed."""
    named: dict[str, tuple[Kind, str]] = {}
    for text in context.params.get("sinks") or [listing.name for listing in plugins().installed("sink")]:
        try:
            spec = parse(text)
        except StreamfanError:
            continue
        named[spec.id or spec.name] = ("sink", spec.name)
    if "source" in context.params:
        named["source"] = ("source", (context.params["source"] or _DEFAULT_SOURCE).partition(":")[0])
    return named


def _keys(kind: Kind, name: str) -> Iterable[tuple[str, tuple[tuple[str, ...], str]]]:
    """Each key with the values that can be told, and what it is about."""
    if kind == "source":
        yield from _fields(plugins().source(name).Options)
        return
    from streamfan.options import LaneOptions

    yield from _fields(plugins().sink(name).Options)
    yield from _fields(LaneOptions, "lane.")


def _fields(model: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, tuple[tuple[str, ...], str]]]:
    from streamfan.config.described import choices

    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", (choices(field), field.description or "")
