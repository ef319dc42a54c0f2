"""Secrets for the command line: never an argument, which everybody on the machine can read."""

from __future__ import annotations

import os

from streamfan.errors import ConfigError
from streamfan.redis.names import has_no_utf8


def read_secret(option: str, path: str | None, variable: str) -> str | None:
    """What the file holds that `option` has named, without white space around it; else what the variable holds.

    None where there is neither.

    Raises:
        ConfigError: The file cannot be read, or is empty; or one of the two is no UTF-8.
    """
    if path is None:
        return _of_environment(variable)
    # Not at the top: it brings pydantic, which --help has no use for.
    from streamfan.options import secret

    try:
        held: str = secret({"file": path})
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
    if not held:
        raise ConfigError(f"{option}: file {path!r} is empty")
    return held


def _of_environment(variable: str) -> str | None:
    held = os.environ.get(variable)
    if held is not None and has_no_utf8(held):
        raise ConfigError(f"${variable} is no UTF-8")
    # Empty is as good as unset, as everywhere in a shell.
    return held or None
