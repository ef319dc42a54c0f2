"""Sinks and sources described from what they declare: their options with type, default and variable, and an example.

One place knows how an option is written for people; the command line and the documentation only lay it out.
"""

from __future__ import annotations

import inspect
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ByteSize, SecretStr
from pydantic_core import PydanticSerializationError, PydanticUndefined, to_jsonable_python

from streamfan.config.build import is_secret
from streamfan.options import LaneOptions, Seconds, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from streamfan.plugins import Listing
    from streamfan.sink import Sink
    from streamfan.source import Source

_NAMES: dict[object, str] = {
    Path: "path",
    SecretStr: "secret",
    bool: "boolean",
    dict: "table",
    float: "number",
    int: "integer",
    str: "text",
}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", 1e-3), ("us", 1e-6))
# A duration is a float and a size an int, but for the validator that reads them; pydantic keeps it beside the type.
_MARKED = ((get_args(Seconds)[1], "duration"), (get_args(Size)[1], "size"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDescription:
    """An option, as people write it.

    Attributes:
        limits: What values it takes, beyond its type; empty where all of them.
        default: A value that could be written; empty where that is impossible, and for secrets.
        variable: The environment variable that sets it, as long as the sink goes by its own name.
    """

    name: str
    type: str
    limits: str
    default: str
    required: bool
    description: str
    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkDescription:
    """All that a user wants to know about an installed sink."""

    name: str
    aliases: tuple[str, ...]
    distribution: str
    version: str
    module: str
    summary: str
    delivery: str
    options: tuple[OptionDescription, ...]
    lane: tuple[OptionDescription, ...]
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    """All that a user wants to know about an installed source.

    Attributes:
        accepts: What else of a run means something to it: the prompt, and flags by their names.
    """

    name: str
    aliases: tuple[str, ...]
    distribution: str
    version: str
    module: str
    summary: str
    accepts: tuple[str, ...]
    options: tuple[OptionDescription, ...]
    example: str


def describe_source(source: type[Source], listing: Listing) -> SourceDescription:
    """Describe a source that came from this distribution; makes none."""
    prompt = ["Once upon a time"] if "prompt" in source.accepts else []
    return SourceDescription(
        name=source.name,
        aliases=source.aliases,
        distribution=listing.distribution,
        version=listing.version,
        module=listing.module,
        summary=(inspect.getdoc(source) or "").partition("\n")[0],
        accepts=tuple(sorted(source.accepts)),
        options=described_options(source.Options, prefix="STREAMFAN_SOURCE"),
        example=shlex.join(["streamfan", "run", *prompt, "--source", source.example or source.name]),
    )


def describe(sink: type[Sink], listing: Listing) -> SinkDescription:
    """Describe a sink that came from this distribution; makes none."""
    prefix = f"STREAMFAN_{sink.name.upper()}"
    options = described_options(sink.Options, prefix=prefix)
    lane = LaneOptions().over(sink.lane_defaults)
    return SinkDescription(
        name=sink.name,
        aliases=sink.aliases,
        distribution=listing.distribution,
        version=listing.version,
        module=listing.module,
        summary=(inspect.getdoc(sink) or "").partition("\n")[0],
        delivery=str(sink.delivery),
        options=options,
        lane=described_options(LaneOptions, dict(lane), f"{prefix}_LANE"),
        example=_example(sink, options),
    )


def described_options(
    model: type[BaseModel], defaults: Mapping[str, Any] | None = None, prefix: str = "STREAMFAN_ID"
) -> tuple[OptionDescription, ...]:
    """Describe the options of a model.

    Args:
        defaults: What is to be shown instead of the model's own.
        prefix: Of their environment variables.
    """
    defaults = defaults or {}
    return tuple(
        OptionDescription(
            name=name,
            type=type_name(field),
            limits=limits(field),
            default=_written(field, defaults[name] if name in defaults else _default(field)),
            required=field.is_required(),
            description=field.description or "",
            variable=f"{prefix}_{name.upper()}",
        )
        for name, field in model.model_fields.items()
    )


def _example(sink: type[Sink], options: tuple[OptionDescription, ...]) -> str:
    # From standard input: that needs no model, and so nothing but streamfan and the sink.
    words = ["streamfan", "run", "--source", "stdin", "--sink", sink.example or sink.name]
    telling = [option for option in options if option.required or option.default][:1]
    for option in telling:
        words += ["-o", f"{sink.name}.{option.name}={option.default}"]
    return f'echo "Once upon a time" | {shlex.join(words)}'


def type_name(field: FieldInfo) -> str:
    """The type of an option, in the words of the configuration file: "text", "duration", "list of text"."""
    return _named(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The values that an option can have, where there are but a few."""
    annotation = field.annotation
    parts = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    literals = (value for part in parts if get_origin(part) is Literal for value in get_args(part))
    return ("true", "false") if bool in parts else tuple(map(str, literals))


def limits(field: FieldInfo) -> str:
    """The bounds of a number, in words; a duration or size from 0 on has none to speak of."""
    said = [
        f"{word} {bound:,}"
        for name, word in (("ge", "from"), ("gt", "above"), ("le", "up to"), ("lt", "below"))
        for bound in [getattr(mark, name, None) for mark in field.metadata]
        if bound is not None and not (name == "ge" and bound == 0 and type_name(field) in {"duration", "size"})
    ]
    return " ".join(said)


def _named(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next((name for mark, name in _MARKED if mark in arguments), None) or _named(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_named(it) for it in arguments if it is not type(None)))
    if origin in {tuple, list, set, frozenset}:
        return f"list of {_named(arguments[0])}"
    return _NAMES.get(origin or annotation, "") or getattr(annotation, "__name__", str(annotation))


def _default(field: FieldInfo) -> Any:
    try:
        return field.get_default(call_default_factory=True)
    except Exception:  # noqa: BLE001 - a plugin's own factory, which may want the values of other options
        return None


def _written(field: FieldInfo, value: Any) -> str:
    if value is None or value is PydanticUndefined or is_secret(field.annotation):
        return ""
    if type_name(field) == "duration":
        return _duration(value)
    if type_name(field) == "size":
        return ByteSize(value).human_readable(separator="").replace(".0", "")
    try:
        plain = to_jsonable_python(value)
    except PydanticSerializationError:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain)


def _duration(seconds: float) -> str:
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1))
    return f"{seconds / size:g}{unit}"
