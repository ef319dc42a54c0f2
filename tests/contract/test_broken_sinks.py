"""A kit that passes everything proves nothing: each broken sink fails the test that names its promise, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from streamfan.sink import Sink
from streamfan.testing import SinkContract
from tests.support.broken_sinks import BROKEN, WHOLE, Hidden, Shelf
from tests.support.distributions import Site

EVERY: tuple[type[Sink], ...] = (*WHOLE, *BROKEN)
ROOT = Path(__file__).parents[2]
Outcome = dict[str, dict[str, str]]
"""For each sink, the tests that failed, each with what they said."""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run of the kit on all of them, in a process in which they are installed."""
    folder = tmp_path_factory.mktemp("broken")
    names = {kind.name: "tests.support.broken_sinks" for kind in EVERY if kind is not Hidden}
    Site(folder).install("streamfan-broken", sinks=names)
    path = os.pathsep.join([str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
    done = subprocess.run(
        [*command, "tests/contract/broken_suites.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return _failures(report)


def _failures(report: Path) -> Outcome:
    found: Outcome = defaultdict(dict)
    for case in ElementTree.parse(report).iter("testcase"):
        suite, test = case.attrib["classname"].rpartition(".Test")[2], case.attrib["name"].partition("[")[0]
        for each in (*case.iter("failure"), *case.iter("error")):
            found[suite][test] = (each.text or "").partition("DEBUG")[0]
    return found


pytestmark = pytest.mark.timeout(360)


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.__name__)
def test_sink_that_keeps_all_promises_passes(failures: Outcome, kind: type[Sink]) -> None:
    assert failures[kind.__name__] == {}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_broken_sink_fails_the_test_that_names_its_promise(failures: Outcome, kind: type[Shelf]) -> None:
    assert list(failures[kind.__name__]) == [kind.breaks], failures[kind.__name__]


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_failure_names_the_promise_and_where_it_is_made(failures: Outcome, kind: type[Shelf]) -> None:
    (message,) = failures[kind.__name__].values()

    assert "broken promise: " in message
    assert "The contract, streamfan." in message


def test_every_promise_has_a_sink_that_breaks_it() -> None:
    promises = {name for name in dir(SinkContract) if name.startswith("test_")}

    assert {kind.breaks for kind in BROKEN} == promises
