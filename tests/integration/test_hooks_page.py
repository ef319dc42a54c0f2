"""docs/hooks.md: it has every hook, and what it shows works."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from streamfan import hookspecs
from tests.support.command import Shell
from tests.support.distributions import Site
from tests.support.page import DOCS, blocks

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = [name for name in vars(hookspecs) if name.startswith("streamfan_")]
PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")
SHOUT, COUNTDOWN, FINISHED = blocks("hooks.md", "python")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    site = Site(shell.site)
    site.install("streamfan-shout", code=SHOUT, sinks={"shout": "streamfan_shout"})
    site.install("streamfan-countdown", code=COUNTDOWN, sources={"countdown": "streamfan_countdown"})
    site.install("streamfan-notes", code=FINISHED, hooks={"notes": "streamfan_notes"})
    return shell


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_and_an_example(hook: str) -> None:
    section = PAGE.partition(f"\n## {hook}\n")[2].partition("\n## ")[0]

    assert section, f"docs/hooks.md has no heading {hook!r}"
    assert f"`{hook}(" in section
    assert f"def {hook}(" in section


def test_page_has_no_hook_that_there_is_not() -> None:
    assert re.findall(r"^## (\S+)$", PAGE, re.MULTILINE) == HOOKS


def test_plugins_of_the_page_work_together(shell: Shell) -> None:
    done = shell.run(
        "run", "--source", "countdown", "-o", "source.start=2", "-o", "source.pause=0", "--quiet", "--sink", "shout"
    )

    assert (done.code, done.stdout) == (0, b"2\n1\n0\n")
    (line,) = (line for line in str(done.stderr).splitlines() if line.startswith("{"))
    told = json.loads(line)
    assert (told["finish_reason"], told["bytes"], told["missing_at"]) == ("stop", 6, [])
