"""The distributions in plugins/, from which people learn to write their own: they use what is promised to everybody."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
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


@every_plugin
def test_readme_leads_to_every_plugin(plugin: Path) -> None:
    assert f"(plugins/{plugin.name})" in README


# By one hand: whoever knows one of them finds the way in the others


def project(plugin: Path) -> dict[str, Any]:
    """A plugin's pyproject.toml, with SINK where it has its sink's name."""
    text = (plugin / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text.replace(plugin.name.removeprefix("streamfan-"), "SINK"))


@every_plugin
def test_plugin_is_a_distribution_like_the_others(plugin: Path) -> None:
    found, other = project(plugin), project(ROOT / "plugins" / "streamfan-example")
    for each in (found, other):
        # A real server takes longer.
        del each["tool"]["pytest"]["ini_options"]["timeout"]

    assert found["tool"] == other["tool"]
    assert found["build-system"] == other["build-system"]
    assert found["project"]["requires-python"] == other["project"]["requires-python"]
    assert found["project"]["dependencies"][0] == other["project"]["dependencies"][0] == "streamfan>=0.1,<0.2"
    assert set(found["project"]["classifiers"]) >= set(other["project"]["classifiers"])
    assert found["project"]["description"].startswith("A sink for streamfan: ")
    assert found["project"]["entry-points"]["streamfan.sinks"]["SINK"] == "streamfan_SINK"


@every_plugin
def test_page_of_a_plugin_says_the_same_things_in_the_same_order(plugin: Path) -> None:
    page = (plugin / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)

    assert page.startswith(f"# {plugin.name}\n\nA sink for streamfan: ")
    assert f"```sh\npip install {plugin.name}" in page.replace("'", "")
    # Before them is how its texts are read; after them, in the one to copy, how it is made another.
    assert [name for name in headings if name in {"Options", "What is promised", "Limits"}] == [
        "Options",
        "What is promised",
        "Limits",
    ]


@every_plugin
def test_what_the_page_of_a_plugin_shows_is_run_by_its_tests(plugin: Path) -> None:
    tests = (plugin / "tests" / "test_readme.py").read_text(encoding="utf-8")
    languages = set(re.findall(r"^```(\w+)$", (plugin / "README.md").read_text(encoding="utf-8"), re.MULTILINE))

    assert languages
    assert all(f'blocks("{language}")' in tests for language in languages)
