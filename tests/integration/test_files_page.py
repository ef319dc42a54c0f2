"""What docs/files.md says: its commands run in their order, and its tables are about all there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest

from streamfan.sinks.file import FileOptions
from streamfan.sinks.file.options import Mode, Sync
from tests.support.command import Shell
from tests.support.page import DOCS, blocks, rows, run_line

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "files.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
STORY = "Once upon a time.\n"


def test_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    done = [run_line(shell, line) for block in blocks(PAGE, "sh") for line in block.splitlines()]

    assert [each.stderr for each in done] == [""] * len(done)
    assert {shell.file(name) for name in ("story.txt", "killed.txt", "again.txt")} == {STORY}
    assert [path.read_text() for path in shell.folder.glob("20*-*-*/*.txt")] == [STORY]
    assert len(list(shell.folder.glob("log-*Z.jsonl*"))) > 1
    printed = [each.stdout.decode() for each in done if each.stdout]
    assert printed == ["".join(f"{number}\n" for number in range(1, 1001)), STORY, STORY, STORY]


def test_tables_of_the_page_have_every_mode_and_every_fsync() -> None:
    modes = [mode for mode, _ in rows(PAGE, "What the file holds already")]
    options = [option for option, _ in rows(PAGE, "On the disk, and whose")]

    assert modes == [f"`{mode}`" for mode in get_args(Mode)]
    assert options[:3] == [f'`fsync = "{sync}"`' for sync in get_args(Sync)]


def test_every_option_is_on_the_page() -> None:
    mentioned = set(re.findall(r"`?(\w+)(?: =|`)", TEXT))

    assert set(FileOptions.model_fields) <= mentioned


@pytest.mark.parametrize("option", ["rotate_bytes", "rotate_age", "permissions"])
def test_values_of_the_page_are_understood(option: str) -> None:
    value = re.findall(rf'`{option} = "(.*?)"`', TEXT)[0]
    jsonl = {} if option == "permissions" else {"format": "jsonl"}

    assert getattr(FileOptions.model_validate({option: value, **jsonl}), option)


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)", TEXT))
def test_links_lead_somewhere(target: str) -> None:
    assert (DOCS / target).exists()
