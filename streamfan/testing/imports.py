"""What importing and making a sink imports, found out in a process of its own, where nothing is imported yet."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamfan.plugins import plugins

if TYPE_CHECKING:
    from streamfan.sink import Sink

# What every program has that names a sink is imported first, so that it does not count.
_CHILD = """
import json, pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
import click, pluggy, pydantic, rich, streamfan.fan, streamfan.plugins
before = set(sys.modules)
make, *arguments = pickle.load(sys.stdin.buffer)
if arguments:
    make(*arguments)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def imported_early(sink: Sink) -> set[str]:
    """Top-level packages that are imported for a sink that is not connected, but for what it may import."""
    kind = type(sink)
    # One that no entry point names is made by hand, nobody knows with what.
    arguments = (sink.target, sink.options) if _installed(kind.name) else ()
    try:
        data = pickle.dumps(sys.path) + pickle.dumps((kind, *arguments))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        pytest.fail(f"{kind.__qualname__!r} must be importable, to be looked at in another process: {error}")
    child = [sys.executable, "-c", _CHILD]
    done = subprocess.run(child, input=data, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.fail(f"{kind.__qualname__!r} cannot be imported in another process:\n{done.stderr.decode()}")
    own = {"streamfan", kind.__module__.partition(".")[0]}
    return set(json.loads(done.stdout)) - sys.stdlib_module_names - own


def _installed(name: str) -> bool:
    return name in {listing.name for listing in plugins().installed("sink")}
