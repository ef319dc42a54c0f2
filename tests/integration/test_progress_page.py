"""What docs/progress.md says: its command and its program run, and its options are all there are."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from streamfan.plugins import plugins
from tests.support.command import Shell
from tests.support.page import DOCS, blocks, rows, run_line

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "progress.md"
LINE = r"streamfan: [\w-]+: {} of {} tokens, [\d.,]+ tokens/s, first after [\d.]+ s, \w+; behind: {}\n"


def test_command_of_the_page_says_what_the_page_shows(tmp_path: Path) -> None:
    (command,) = blocks(PAGE, "sh")

    done = run_line(Shell(tmp_path), command.strip())

    line = LINE.format(r"\d+", 256, r"stdout \d+ ms, file \d+ ms")
    assert re.search(line, done.stderr), done
    assert re.search(line, (DOCS / PAGE).read_text(encoding="utf-8"))


def test_program_of_the_page_shows_its_progress(tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert "3 of 3 tokens" in done.stderr
    assert (tmp_path / "answer.txt").read_text() == "one two three"


def test_options_of_the_page_are_all_there_are() -> None:
    described = {row[0].strip("`"): row[2] for row in rows(PAGE, "In a program")}

    fields = plugins().sink("progress").Options.model_fields
    assert described == {name: field.description for name, field in fields.items()}
