"""The distributions in plugins/, from which people learn to write their own: they use what is promised to everybody."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PAGE = (ROOT / "docs" / "writing-a-sink.md").read_text(encoding="utf-8")
PROMISED = set(
    re.findall(r"`(streamfan[\w.]*)`", PAGE.partition("names without an underscore of ")[2].partition("\n- ")[0])
)

every_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)


def nodes(plugin: Path) -> Iterator[ast.AST]:
    """What the code of a plugin's package consists of; its tests are left out."""
    for path in (plugin / plugin.name.replace("-", "_")).glob("**/*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported(plugin: Path) -> Iterator[tuple[str, str]]:
    """Each name that is imported, with its module."""
    for node in nodes(plugin):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_page_says_what_is_promised() -> None:
    assert {"streamfan", "streamfan.sink", "streamfan.testing"} <= PROMISED


@every_plugin
def test_names_of_streamfan_that_a_plugin_uses_are_promised(plugin: Path) -> None:
    used = {(module, name) for module, name in imported(plugin) if re.match(r"streamfan(\.|$)", module)}

    assert used
    assert {module for module, _ in used} <= PROMISED
    assert not [name for _, name in used if name.startswith("_")]


@every_plugin
def test_log_of_a_plugin_is_shown_with_streamfans_own(plugin: Path) -> None:
    calls = [
        node for node in nodes(plugin) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger")
    ]

    assert {ast.literal_eval(call.args[0]) for call in calls} <= {plugin.name.replace("-", ".sinks.")}
