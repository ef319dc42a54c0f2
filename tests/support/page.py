"""A page of the documentation, for tests that run what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.command import Done, Shell

DOCS = Path(__file__).parents[2] / "docs"

# So that the commands are these, and whatever else a line has is the shell's.
_COMMAND = """\
python=$1
streamfan() { "$python" -m streamfan "$@"; }
"""


def blocks(page: str, language: str) -> list[str]:
    """The page's blocks of code in this language, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, row by row, without its own head."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None, f"{page} has no table below {heading!r}"
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()[2:]]


def run_line(shell: Shell, line: str, **more: Any) -> Done:
    """Run a line of a block, which may say at its end what it `# exits with` if not 0; see `Shell.run`."""
    command, _, code = line.partition("  # exits with ")
    done = shell.run(script=_COMMAND + command, **more)
    assert done.code == int(code or 0), (line, done)
    return done
