"""Settings: what was said for an option, and where, in the file, the environment or on the command line.

Wherever it was said, an option has one path: `("live", "linger")`, `("live", "lane", "linger")`, `("run", "seed")`.
So whoever knows better wins by a plain union of dictionaries, the later one on the right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from streamfan.errors import ConfigError
from streamfan.specs import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Path = tuple[str, ...]
"""Where an option belongs: a sink's id, `run` or `source`; `lane` where it is the lane's; the option's name."""

# An id has no underscore, so the first one ends it.
_VARIABLE = re.compile(r"STREAMFAN_([A-Z][A-Z0-9]*)_(LANE_)?(.+)", re.ASCII | re.DOTALL)
_NO_PART_OF_A_PATH = re.compile(r"[^a-z0-9_.]", re.ASCII)
_OPTION = re.compile(r"([^.=]+)\.(lane\.)?([^.=]+)=(.*)", re.ASCII | re.DOTALL)


class Layer(IntEnum):
    """Who said it; a higher one knows what the lower ones said."""

    FILE = 1
    ENVIRONMENT = 2
    COMMAND_LINE = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and who said it.

    Attributes:
        origin: The place for error texts: a file's name, a variable, an argument. It never holds the value.
    """

    value: Any
    layer: Layer
    origin: str


Settings = dict[Path, Setting]


def from_environment(environ: Mapping[str, str]) -> Settings:
    """What `STREAMFAN_<ID>_<KEY>` and `STREAMFAN_<ID>_LANE_<KEY>` say."""
    found = ((name, _VARIABLE.fullmatch(name)) for name in environ)
    return {
        _path(match[1].lower(), (match[2] or "").lower(), match[3].lower()): Setting(
            environ[name], Layer.ENVIRONMENT, f"${name}"
        )
        for name, match in found
        if match
    }


def from_options(options: Iterable[str]) -> Settings:
    """What `-o ID.KEY=VALUE` and `-o ID.lane.KEY=VALUE` say; of two for one option the later holds.

    Raises:
        ConfigError: One that does not follow the grammar.
    """
    settings = {}
    for text in options:
        match = _OPTION.fullmatch(text)
        if match is None:
            # Only what looks like a path: the rest may be a secret.
            raise ConfigError(
                f"-o {_NO_PART_OF_A_PATH.split(text, 1)[0]!r} is no option with a value\n"
                "Try: -o ID.KEY=VALUE or -o ID.lane.KEY=VALUE, for example -o file.lane.linger=1s"
            )
        path = _path(match[1], match[2] or "", match[3])
        settings[path] = Setting(match[4], Layer.COMMAND_LINE, f"-o {'.'.join(path)}")
    return settings


def below(settings: Settings, *start: str) -> dict[str, Setting]:
    """What was said for the options directly under `start`, by name."""
    return {path[-1]: setting for path, setting in settings.items() if path[:-1] == start}


def _path(owner: str, lane: str, key: str) -> Path:
    if lane and owner not in RESERVED:
        return (owner, "lane", key)
    return (owner, lane + key)
