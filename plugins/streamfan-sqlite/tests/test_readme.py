"""What README.md says can be typed does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import STREAM, deliver, rows, write

from streamfan_sqlite import SqliteOptions, SqliteSink

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    """The code of all blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("sql", blocks("sql"))
def test_query_finds_something(sql: str, sink: SqliteSink, path: Path) -> None:
    told = replace(STREAM, meta={"user": "ada", "prompt": "Tell me"})
    deliver(sink, told, "Once upon a time there was a lane")
    write(sink, replace(STREAM, attempt=8), "and it goes on")

    assert rows(path, sql)


def test_line_for_the_shell_works(tmp_path: Path) -> None:
    (line,) = (block for block in blocks("sh") if block.startswith("echo"))
    command = line.replace("streamfan", f"{shlex.quote(sys.executable)} -m streamfan")

    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, timeout=60)

    assert rows(tmp_path / "archive.db", "SELECT text, finish_reason FROM generations") == [
        {"text": "Once upon a time there was a lane\n", "finish_reason": "stop"}
    ]


def test_every_option_has_its_row() -> None:
    table = README.read_text(encoding="utf-8").partition("## Options")[2].partition("```")[0]

    named = re.findall(r"^\| `(\w+)` \| `(\w+)`", table, re.MULTILINE)
    defaults = {name: str(field.default).lower() for name, field in SqliteOptions.model_fields.items()}
    assert dict(named) == defaults
