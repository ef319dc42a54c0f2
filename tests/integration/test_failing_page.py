"""What docs/when-something-fails.md says: its commands run in their order, and its tables are about all there is."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any, get_args

import pytest

from streamfan.cli.session import Exit
from streamfan.events import Text
from streamfan.options import LaneOptions, WhenFull
from streamfan.recording import lines
from tests.support.command import Shell
from tests.support.page import DOCS, blocks, rows, run_line

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "when-something-fails.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
STORY = "Once upon a time.\n"


def test_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    full, check, unreached, schema, allowed, kept, later, summary = (
        run_line(shell, line) for block in blocks(PAGE, "sh") for line in block.splitlines()
    )

    assert {full.stdout, allowed.stdout} == {STORY.encode()}
    assert "Error: sink 'full'" in full.stderr
    assert full.stderr.splitlines()[-1].endswith("18 bytes not delivered")
    assert "Warning: sink 'full'" in allowed.stderr
    assert (check.code, unreached.code, schema.stderr) == (0, 4, "")
    assert json.loads(shell.file("streamfan.schema.json"))["type"] == "object"
    assert {shell.file(name) for name in ("a.txt", "later.txt")} == {STORY}
    assert "streamfan replay" in kept.stderr
    assert later.stderr == ""
    assert summary.summary["exit_code"] == 0


def test_program_of_the_page_keeps_what_was_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = blocks(PAGE, "python")

    exec(compile(program, PAGE, "exec"), {})

    kept = tmp_path / capsys.readouterr().out.strip()
    assert kept.parent == tmp_path / "kept"
    events = (line.event for line in lines(kept.read_bytes().splitlines()))
    assert "".join(event.text for event in events if isinstance(event, Text)) == STORY


def test_exit_codes_of_the_page_are_all_there_are() -> None:
    codes = [int(code) for cell, _ in rows(PAGE, "Exit codes") for code in cell.split(", ")]

    signals = {128 + each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    assert sorted(codes) == sorted({*Exit, *signals})


def test_table_of_the_page_has_every_way_of_being_full() -> None:
    assert [way for way, _ in rows(PAGE, "A sink that is too slow")] == [f"`{way}`" for way in get_args(WhenFull)]


def test_lane_options_of_the_page_exist_and_have_these_defaults() -> None:
    mentioned = dict(re.findall(r"`lane\.(\w+)` \((\d+ \w+)\)", " ".join(TEXT.split())))
    defaults = LaneOptions()

    assert mentioned == {
        "max_elapsed": f"{defaults.max_elapsed:g} s",
        "call_timeout": f"{defaults.call_timeout:g} s",
        "buffer_bytes": f"{defaults.buffer_bytes >> 20} MiB",
    }


def test_fields_of_the_page_are_in_the_summary(tmp_path: Path) -> None:
    summary = Shell(tmp_path).stdin("text", "-q", "-s", "file:a.txt", "--summary", "json").summary
    fields = [field for cell, _ in rows(PAGE, "Who has what") for field in re.findall(r"`(.*?)`", cell)]

    for field in fields:
        found: Any = summary
        for name in re.findall(r"\w+|\[\]", field):
            found = found[0] if name == "[]" else found[name]
    assert fields


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)", TEXT))
def test_links_lead_somewhere(target: str) -> None:
    assert (DOCS / target).exists()
