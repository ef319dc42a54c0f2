"""The configuration file: TOML with the tables `run`, `source`, and one `sinks.ID` for each sink."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamfan.config.settings import Layer, Setting, Settings
from streamfan.errors import ConfigError, SpecError
from streamfan.specs import check_id, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLES = ("run", "source", "sinks")


@dataclass(frozen=True, slots=True)
class File:
    """What a configuration file says.

    Attributes:
        name: Its path as it was given; empty if there is no file.
        types: The name of each sink, by id, in the order of the file.
        settings: Everything else; a sink's target is its option "target".
    """

    name: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)


def read(name: str, said_by: str) -> File:
    """Read a configuration file; which options there are is not looked at.

    Args:
        said_by: Where its name comes from, for error texts.

    Raises:
        ConfigError: It cannot be read, is no TOML in UTF-8, or has tables that mean nothing.
    """
    document = _parsed(name, _text(name, said_by))
    for key in document:
        if key not in _TABLES:
            raise ConfigError(
                f"{name}: unknown table {key!r}{did_you_mean(key, _TABLES)}\n"
                "Try: [run], [source], and one [sinks.ID] for each sink"
            )
    settings = _flat(name, ("run",), document.get("run", {})) | _flat(name, ("source",), document.get("source", {}))
    types = {}
    for id, table in _table(name, "sinks", document.get("sinks", {})).items():
        types[id], sink = _sink(name, id, table)
        settings |= sink
    return File(name, types, settings)


def _text(name: str, said_by: str) -> str:
    try:
        # A byte order mark is no fault of who wrote the file.
        return Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration file {name!r} ({said_by}) is not UTF-8: {error.reason} at byte {error.start}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"configuration file {name!r} ({said_by}) cannot be read: {reason}") from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from None
    except ValueError:
        # The only one that the parser leaves as Python raises it.
        raise ConfigError(f"{name}: a number has too many digits") from None
    except RecursionError:
        raise ConfigError(f"{name}: lists or tables are nested too deeply") from None


def _sink(name: str, id: str, table: object) -> tuple[str, Settings]:
    try:
        check_id(id)
    except SpecError as error:
        raise ConfigError(f"{name}: [sinks.{id}]: {str(error).splitlines()[0]}") from None
    options = dict(_table(name, f"sinks.{id}", table))
    # A table that only has options for a sink needs no type: [sinks.stdout].
    type_ = options.pop("type", id)
    if not isinstance(type_, str):
        raise ConfigError(f"{name}: [sinks.{id}]: type should be the name of a sink, as text")
    lane = _flat(name, (id, "lane"), options.pop("lane", {}))
    return type_, lane | _flat(name, (id,), options)


def _flat(name: str, start: tuple[str, ...], table: object) -> Settings:
    title = ".".join(("sinks", *start) if start[0] not in _TABLES else start)
    return {(*start, key): Setting(value, Layer.FILE, name) for key, value in _table(name, title, table).items()}


def _table(name: str, title: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: {title!r} should be a table\nTry: [{title}]")
    return value
