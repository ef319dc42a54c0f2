"""What README.md shows, done as it says; only addresses are the test's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.program import Program

PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's blocks of code in this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed(block: str, folder: Path, **environment: str) -> str:
    """What a block says at a shell, but for what installs and what is left running."""
    lines = [line for line in block.splitlines() if not line.startswith("pip ") and not line.endswith("&")]
    # The programs of the environment that the tests run in.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_lines_bring_a_text_to_the_collector(program: Program, tmp_path: Path) -> None:
    first, *_ = blocks("sh")
    assert "localhost:9009" in first

    typed(first.replace("localhost:9009", program.target), tmp_path, STREAMFAN_EXAMPLE_TOKEN="s3cret")

    (file,) = program.folder.iterdir()
    assert file.read_text(encoding="utf-8") == "Once upon a time\n"


def test_every_option_is_in_the_table_with_its_default() -> None:
    command = [sys.executable, "-m", "streamfan", "sinks", "example", "--json"]
    described = json.loads(subprocess.run(command, capture_output=True, timeout=50, check=True).stdout)
    options = {option["name"]: option["default"] for option in described["options"]}

    table = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert list(told) == list(options)
    assert {name: told[name] for name in options if options[name]} == {
        name: f"`{default}`" for name, default in options.items() if default
    }
