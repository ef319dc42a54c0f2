"""Every block of code in the documentation is run by some test; those that have no test file of their own are here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from transformers import AutoTokenizer

from streamfan.config import configure
from streamfan.demo import PATH
from tests.support.command import Shell
from tests.support.page import DOCS, blocks, run_line

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
BLOCK = re.compile(r"^```\w+$", re.MULTILINE)


def pages() -> Iterator[Path]:
    """The pages that have something to run."""
    for page in sorted(DOCS.glob("*.md")):
        if BLOCK.search(page.read_text(encoding="utf-8")):
            yield page


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.name)
def test_page_with_code_is_known_to_a_test(page: Path) -> None:
    # Not what writes a page, or helps a test with it.
    texts = [file.read_text(encoding="utf-8") for file in TESTS.rglob("test_*.py")]

    assert any(f'"{page.name}"' in text for text in texts), f"no test runs what docs/{page.name} shows"


def test_lines_for_completion_do_what_they_say(tmp_path: Path) -> None:
    (block,) = blocks("cli.md", "sh")
    program = tmp_path / "streamfan"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamfan "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]])}

    def said(line: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", line], env=environ, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    bash, zsh, fish = block.splitlines()
    assert said(f"{bash}\ncomplete -p streamfan").endswith("-F _streamfan_completion streamfan\n")
    # The other shells may not be there: what they would take in.
    assert said(re.findall(r"\$\((.+)\)", zsh)[0]).startswith("#compdef streamfan\n")
    assert "complete --no-files --command streamfan" in said(fish.partition("|")[0])


def test_program_of_detokenizing_gives_the_text_up_to_where_it_stops(capfd: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("detokenizing.md", "python")
    tokenizer = AutoTokenizer.from_pretrained(PATH)
    ids = tokenizer("A fox said hello.\nUser: stop", add_special_tokens=False)["input_ids"]

    exec(compile(program, "detokenizing.md", "exec"), {"tokenizer": tokenizer, "ids": ids})

    assert capfd.readouterr().out.strip() == "A fox said hello."


EXAMPLES = [line for block in blocks("sinks.md", "sh") for line in block.splitlines() if "--sink" in line]


@pytest.mark.parametrize("line", [line for line in EXAMPLES if "example.com" not in line])
def test_example_of_a_sink_works_as_printed(line: str, tmp_path: Path) -> None:
    done = run_line(Shell(tmp_path), line)

    assert done.stdout == b"Once upon a time\n"


def test_example_with_an_address_of_somebody_else_is_understood() -> None:
    (line,) = (line for line in EXAMPLES if "example.com" in line)
    words = shlex.split(line)

    assert configure(sinks=[words[words.index("--sink") + 1]], options=[words[-1]], environ={}).sinks
