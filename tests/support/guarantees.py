"""The page of guarantees, docs/guarantees.md, made from the names of the tests that show them.

    python -m tests.support.guarantees            write the page
    python -m tests.support.guarantees --check    say whether it is as it would be written

A test says with `@pytest.mark.guarantee(sink, fault)` which cell it fills. What is promised there is its name.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import groupby, product
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import complaints

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"

SINKS = {
    "stdout": "at most once",
    "file": "exactly once, for one writer",
    "redis": "exactly once in the log; with `mode = pubsub` at most once",
    "webhook": "at least once, in order, with the same id, offsets and bytes on a retry; "
    "exactly once if the receiver [keeps count](webhook.md)",
    "callback": "at most once",
    "any sink": "what is done for every sink, a plugin's too; shown with sinks that are ill on purpose",
}

FAULTS = {
    "slow": "the destination takes longer than the model",
    "hung": "a call does not come back",
    "raising": "the destination, or the sink itself, answers with an error",
    "killed": "SIGKILL: of the program that writes, or of whoever is at the other end",
    "disk full": "there is no room, now or for good",
    "refused": "nobody is there when the run begins",
    "reset in the middle": "a connection or a write breaks off, and how much has arrived is not known",
    "wrong answer": "what comes back makes no sense, or is not true",
    "clock jump": "the time of day is set, forward or back",
    "shutdown": "the run is told to stop, in whatever state the sink is then",
}

READABLE = re.compile(r"[a-z]+([ -][a-z]+)*|\d{3}")
"""What of pytest's names for the cases of a test tells a reader something."""

_NO_ANSWER = "nothing ever comes back from there"
_IN_PROCESS = "a function lives in the program itself, and ends with it"

DOES_NOT_APPLY = {
    ("stdout", "wrong answer"): _NO_ANSWER,
    ("stdout", "clock jump"): "no time of day is written there or decides anything",
    ("callback", "killed"): _IN_PROCESS,
    (
        "callback",
        "disk full",
    ): "what a function raises when it meets a full disk is an error like any other: see raising",
    ("callback", "refused"): "there is nothing to connect to",
    ("callback", "reset in the middle"): "between a function and its caller nothing can break off",
    ("callback", "wrong answer"): "what a function returns is ignored",
    ("callback", "clock jump"): "no time of day decides anything there",
    (
        "any sink",
        "killed",
    ): "a sink lives in the program itself; who is killed at the other end is in the other columns",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """What one case of a test says of one cell.

    Attributes:
        path: Of the test's file, from the repository's root.
        test: Its name.
        case: Which case, if there are several.
    """

    sink: str
    fault: str
    path: str
    test: str
    case: str

    @property
    def sentence(self) -> str:
        """The name as a sentence."""
        words = self.test.removeprefix("test_").replace("_", " ")
        return f"{words[0].upper()}{words[1:]}."


def problems(promises: Iterable[Promise]) -> list[str]:
    """What is wrong with the matrix: cells without a test, and reasons for cells that have one."""
    shown = {(promise.sink, promise.fault) for promise in promises}
    cells = set(product(SINKS, FAULTS))
    return [
        *(f"no cell is {cell}" for cell in sorted((shown | DOES_NOT_APPLY.keys()) - cells)),
        *(f"nothing shows {cell}, and nothing says why not" for cell in sorted(cells - shown - DOES_NOT_APPLY.keys())),
        *(f"{cell} is said not to apply, and has a test" for cell in sorted(shown & DOES_NOT_APPLY.keys())),
    ]


def page(promises: Sequence[Promise]) -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_faults(), *_overview(promises), *_sinks(promises), "", *complaints.section(), ""])


INTRODUCTION = """\
# What is guaranteed, and what shows it

A text goes to several places at once, and sooner or later something goes wrong with one of them. This page says what is
promised then. **Each promise is the name of a test**, which makes that very thing go wrong - it kills the server, cuts
the connection, fills the disk - and looks what has arrived. The page is made from these names (`make docs`), so it
cannot say more than they do. And none of them may pass where nothing goes wrong: `make guarantees` switches all faults
off, and names every test that does not notice.
"""


def _faults() -> list[str]:
    rows = [f"| {fault} | {meaning} |" for fault, meaning in FAULTS.items()]
    return ["## What can go wrong", "", "| | |", "|---|---|", *rows, ""]


def _overview(promises: Sequence[Promise]) -> list[str]:
    names = {(each.sink, each.fault, each.path, each.test) for each in promises}
    tests = Counter((sink, fault) for sink, fault, _, _ in names)
    header = [f"[{sink}](#{_anchor(sink)})" for sink in SINKS]
    rows = ([f"**{fault}**", *(_cell(sink, fault, tests) for sink in SINKS)] for fault in FAULTS)
    return [
        "## At a glance",
        "",
        "The number of tests behind each promise; a dot where the fault cannot happen.",
        "",
        _row(["", *header]),
        _row(["---", *[":-:"] * len(SINKS)]),
        *map(_row, rows),
        "",
    ]


def _cell(sink: str, fault: str, tests: Counter[tuple[str, str]]) -> str:
    return f"[✓ {tests[sink, fault]}](#{_anchor(sink)})" if tests[sink, fault] else "·"


def _sinks(promises: Sequence[Promise]) -> list[str]:
    lines = []
    for sink, guarantee in SINKS.items():
        lines += [f"## {sink}", "", f"{guarantee[0].upper()}{guarantee[1:]}.", "", _row(["", "promise", "test"])]
        lines += [_row(["---"] * 3)]
        for fault in FAULTS:
            lines += _promised(sink, fault, [each for each in promises if (each.sink, each.fault) == (sink, fault)])
        lines.append("")
    return lines[:-1]


def _promised(sink: str, fault: str, promises: Sequence[Promise]) -> list[str]:
    if not promises:
        return [_row([f"**{fault}**", f"*does not apply: {DOES_NOT_APPLY.get((sink, fault))}*", ""])]
    rows: list[str] = []
    by = attrgetter("path", "sentence")
    for (path, sentence), cases in groupby(sorted(promises, key=by), key=by):
        link = f"[{path.removeprefix('tests/')}](../{path})"
        rows.append(
            _row(["" if rows else f"**{fault}**", sentence + _cases(sink, [each.case for each in cases]), link])
        )
    return rows


def _cases(sink: str, cases: Sequence[str]) -> str:
    if all(map(READABLE.fullmatch, cases)):
        return f" *{', '.join(case.removeprefix(f'{sink} ') for case in cases)}*"
    return f" *{len(cases)} cases*" if len(cases) > 1 else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")


class Collector:
    """Hears from pytest which tests there are.

    Attributes:
        promises: One for each case of each test.
    """

    def __init__(self) -> None:
        self.promises: list[Promise] = []

    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        """Take what each test is marked with."""
        for item in items:
            assert isinstance(item, pytest.Function)
            path = item.path.relative_to(ROOT).as_posix()
            case = item.name.removeprefix(item.originalname).strip("[]")
            cells = (mark.args for mark in item.iter_markers("guarantee"))
            self.promises += [Promise(sink, fault, path, item.originalname, case) for sink, fault in cells]


def main(check: bool) -> str | None:
    """Write the page, or compare it; returns what is wrong."""
    collector, said = Collector(), StringIO()
    # Of those that fill no cell many are slow to import.
    files = [str(file) for file in (ROOT / "tests").rglob("test_*.py") if "guarantee(" in file.read_text("utf-8")]
    with redirect_stdout(said):
        code = pytest.main(["--collect-only", "--quiet", *files], plugins=[collector])
    if code != pytest.ExitCode.OK:
        return f"the tests could not be collected:\n{said.getvalue()}"
    if wrong := problems(collector.promises):
        return "\n".join(wrong)
    text = page(collector.promises)
    if check:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        return None if same else "docs/guarantees.md is not what the tests say\nTry: make docs"
    PAGE.write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
