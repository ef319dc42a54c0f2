"""The page of guarantees: it is what the tests say, and a test that looks at nothing is found out."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.support.complaints import missing
from tests.support.guarantees import DOES_NOT_APPLY, FAULTS, ROOT, SINKS, Promise, page, problems

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = [
    Promise(sink, fault, "tests/unit/test_lane.py", f"test_{sink}_holds", "")
    for sink in SINKS
    for fault in FAULTS
    if (sink, fault) not in DOES_NOT_APPLY
]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )


def test_page_is_what_the_tests_say() -> None:
    done = python("-m", "tests.support.guarantees", "--check")

    assert (done.returncode, done.stderr) == (0, "")


def test_cell_without_a_test_needs_a_reason() -> None:
    assert problems(WHOLE) == []
    assert problems([promise for promise in WHOLE if (promise.sink, promise.fault) != ("file", "killed")]) == [
        "nothing shows ('file', 'killed'), and nothing says why not"
    ]


def test_cell_with_a_test_needs_no_reason() -> None:
    promise = Promise("callback", "killed", "tests/unit/test_lane.py", "test_it", "")

    assert problems([*WHOLE, promise]) == ["('callback', 'killed') is said not to apply, and has a test"]


def test_cell_that_is_misspelt_is_told() -> None:
    promise = Promise("stdout", "sluggish", "tests/unit/test_lane.py", "test_it", "")

    assert problems([*WHOLE, promise]) == ["no cell is ('stdout', 'sluggish')"]


def test_name_of_a_test_is_its_promise() -> None:
    cases = [
        Promise("file", "hung", "tests/unit/test_lane.py", "test_text_is_there_once", case) for case in ("one", "two")
    ]

    text = page([promise for promise in WHOLE if (promise.sink, promise.fault) != ("file", "hung")] + cases)

    assert "| **hung** | Text is there once. *one, two* | [unit/test_lane.py](../tests/unit/test_lane.py) |" in text


def test_tests_that_answer_complaints_exist() -> None:
    assert missing() == []


TESTS = """
    import pytest
    from tests.support.faults import injects, switched_off

    @injects
    def break_it(what):
        what.clear()

    @pytest.mark.guarantee("file", "killed")
    def test_that_looks():
        break_it(what := [1])
        assert what == []

    @pytest.mark.guarantee("file", "killed")
    def test_that_does_not_look():
        break_it(what := [1])
        assert len(what) < 2

    @pytest.mark.guarantee("file", "killed")
    def test_that_breaks():
        if switched_off():
            raise KeyError("its own fault")

    def test_of_something_else(): ...
"""


@pytest.mark.parametrize(
    ("options", "failed"),
    [([], []), (["--without-faults"], ["test_that_does_not_look", "test_that_breaks"])],
    ids=["as usual", "without faults"],
)
def test_test_that_passes_where_nothing_goes_wrong_is_named(
    tmp_path: Path, options: list[str], failed: list[str]
) -> None:
    (tmp_path / "test_it.py").write_text(dedent(TESTS), encoding="utf-8")

    done = python("-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", "-rf", *options, str(tmp_path))

    lines = [line.partition("::")[2].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert lines == failed
    assert ("1 deselected" in done.stdout) == bool(options)
