"""The blocks of docs/testing-a-sink.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.distributions import Site

PAGE = Path(__file__).parents[2] / "docs" / "testing-a-sink.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


PLUGIN, SUITE, EXCLUSION, BY_HAND, PROGRAM = blocks("python")


def run_suite(folder: Path, suite: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder of its own, with the plugin of the page installed."""
    Site(folder).install("streamfan-lines", code=PLUGIN, sinks={"lines": "streamfan_lines"})
    (folder / "test_lines.py").write_text(suite, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(PAGE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-rs", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [*command, "test_lines.py"], cwd=folder, env=environ, capture_output=True, text=True, timeout=55, check=False
    )


def test_suite_of_the_page_passes(tmp_path: Path) -> None:
    done = run_suite(tmp_path, SUITE)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_suite_of_the_page_is_short() -> None:
    assert len(SUITE.splitlines()) <= 22


def test_entry_point_of_the_page_is_the_plugin(tmp_path: Path) -> None:
    (block,) = blocks("toml")

    project = tomllib.loads(block)
    assert project["project"]["entry-points"] == {"streamfan.sinks": {"lines": "streamfan_lines"}}
    assert project["tool"]["setuptools"]["py-modules"] == ["streamfan_lines"]


def test_exclusion_of_the_page_is_shown_with_its_reason(tmp_path: Path) -> None:
    attribute = EXCLUSION.partition("\n")[2]
    suite = SUITE.replace('    """Each stream has a file of its own."""\n', attribute)
    assert suite != SUITE

    done = run_suite(tmp_path, suite)

    assert done.returncode == 0, done.stdout
    assert "the protocol has no NUL" in done.stdout


def test_sink_of_the_page_can_be_called_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Site(tmp_path / "site") as site:
        site.install("streamfan-lines", code=PLUGIN, sinks={"lines": "streamfan_lines"})
        exec(compile(BY_HAND, str(PAGE), "exec"), {"__name__": "page"})

    assert (tmp_path / "story-1.txt").read_text(encoding="utf-8") == "Once upon"


def test_program_of_the_page_runs(capfd: pytest.CaptureFixture[str]) -> None:
    exec(compile(PROGRAM, str(PAGE), "exec"), {"__name__": "page"})

    assert capfd.readouterr().out == "a whole text"
