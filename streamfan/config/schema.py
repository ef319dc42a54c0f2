"""JSON Schema of the configuration file, from what the installed sinks and sources declare; for editors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic.json_schema import GenerateJsonSchema

from streamfan.config.build import is_secret
from streamfan.config.options import RunOptions
from streamfan.errors import UsageError
from streamfan.options import LaneOptions
from streamfan.plugins import plugins
from streamfan.specs import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import BaseModel

    from streamfan.plugins import Kind
    from streamfan.sink import Sink

T = TypeVar("T")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


class _Tolerant(GenerateJsonSchema):
    """Of an option that JSON has no type for, a function say, anything is a value: the other options have theirs."""

    # What can be no default in JSON is left out, which is nothing to tell a user of.
    ignored_warning_kinds = GenerateJsonSchema.ignored_warning_kinds | {"non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        """See pydantic, which raises here."""
        return {}


def schema() -> Schema:
    """The schema; sinks and sources that cannot be loaded are left out.

    Nothing is required: an editor sees the file alone, and the environment or a flag may say what is not in it.
    """
    definitions: Schema = {}
    sinks = {sink.name: sink for sink in _loaded(plugins().sink, "sink")}
    sources = {source.name: source for source in _loaded(plugins().source, "source")}
    for name, sink in sinks.items():
        definitions[f"sink-{name}"] = _sink(sink, definitions)
    definitions["lane"] = _table(LaneOptions, definitions)
    return {
        "$schema": DIALECT,
        "title": "streamfan.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "run": _table(RunOptions, definitions),
            "source": {"anyOf": [_table(source.Options, definitions) for source in sources.values()]},
            "sinks": _sinks(sinks.values()),
        },
        "$defs": definitions,
    }


def _loaded(load: Callable[[str], T], kind: Kind) -> Iterator[T]:
    for listing in plugins().installed(kind):
        # A broken one says so wherever it is named; here nobody has named it.
        with suppress(UsageError):
            yield load(listing.name)


def _sinks(sinks: Iterable[type[Sink]]) -> Schema:
    """A table for each id; which sink it is about says its `type`, or else the id."""
    names = {name: {"$ref": f"#/$defs/sink-{sink.name}"} for sink in sinks for name in (sink.name, *sink.aliases)}
    typed = [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": sink}
        for name, sink in names.items()
    ]
    return {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9]*$", "not": {"enum": sorted(RESERVED)}},
        "properties": {name: {"if": {"not": {"required": ["type"]}}, "then": sink} for name, sink in names.items()},
        "patternProperties": {
            "": {"type": "object", "properties": {"type": {"enum": sorted(names)}}, "allOf": typed},
        },
        # An id that is no sink's name does not say which sink it is about.
        "additionalProperties": {"required": ["type"]},
    }


def _sink(sink: type[Sink], definitions: Schema) -> Schema:
    table = _table(sink.Options, definitions)
    own = {
        "type": {"type": "string", "description": "Which sink it is; the id unless given."},
        "target": {"type": "string", "description": f"Where to: what follows the colon of --sink {sink.name}:TARGET."},
        "lane": {"$ref": "#/$defs/lane"},
    }
    return {**table, "properties": {**own, **table.get("properties", {})}}


def _table(options: type[BaseModel], definitions: Schema) -> Schema:
    """The schema of a table; what it refers to goes into `definitions`."""
    owner = f"{options.__module__}.{options.__qualname__}"
    made = options.model_json_schema(ref_template=f"#/$defs/{owner}.{{model}}", schema_generator=_Tolerant)
    for name, field in options.model_fields.items():
        if is_secret(field.annotation):
            made["properties"][name].pop("default", None)
    definitions.update({f"{owner}.{name}": part for name, part in made.pop("$defs", {}).items()})
    made.pop("required", None)
    return made
