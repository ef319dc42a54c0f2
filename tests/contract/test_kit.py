"""The kit's own manners: what it says of a suite that is not right, and what needs pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import streamfan.testing
from streamfan.errors import UsageError
from streamfan.events import StreamInfo
from streamfan.sink import Delivery
from streamfan.testing import SinkContract
from streamfan.testing.held import Held
from streamfan.testing.values import new_stream

ROOT = Path(__file__).parents[2]
Failed = pytest.fail.Exception


@pytest.fixture
def stream() -> StreamInfo:
    return new_stream()


def test_exclusion_of_an_unknown_test_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"TestX\.exclude names 'test_newlines_are_keptt', .*'test_newlines_are_kept'"):
        type("TestX", (SinkContract,), {"exclude": {"test_newlines_are_keptt": "typo"}})


def test_exclusion_needs_a_reason() -> None:
    with pytest.raises(UsageError, match="gives no reason for 'test_newlines_are_kept'"):
        type("TestX", (SinkContract,), {"exclude": {"test_newlines_are_kept": " "}})


def test_suite_without_fixtures_is_told_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("from streamfan.testing import SinkContract\nclass TestX(SinkContract): ...\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-k", "newlines"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)

    assert "TestX lacks the fixture 'sink'. In the class:" in done.stdout
    assert "return lambda: YourSink(target)" in done.stdout


def test_without_pytest_the_contract_says_what_to_install() -> None:
    code = """
import sys
sys.modules["pytest"] = None
from streamfan.testing import RecordingSink, ScriptedSource, play
try:
    from streamfan.testing import SinkContract
except ImportError as error:
    print(error)
"""

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == [
        "streamfan.testing.SinkContract needs pytest, which is not installed",
        "Try: pip install 'streamfan[testing]'",
    ], done.stderr


def test_public_names_can_be_had_and_are_listed() -> None:
    assert all(hasattr(streamfan.testing, name) for name in streamfan.testing.__all__)
    assert set(streamfan.testing.__all__) == set(streamfan.testing._HOMES)
    assert set(streamfan.testing.__all__) <= set(dir(streamfan.testing))
    assert not hasattr(streamfan.testing, "nothing")


def test_every_test_of_the_kit_says_what_is_promised() -> None:
    tests = [getattr(SinkContract, name) for name in dir(SinkContract) if name.startswith("test_")]

    assert [test.__name__ for test in tests if not test.__doc__] == []


# What a destination holds


def test_repeated_piece_counts_once_and_is_allowed_at_least_once(stream: StreamInfo) -> None:
    held = Held.of([(0, "ab"), (0, "ab"), (2, "c")], stream)

    held.check_pieces(Delivery.AT_LEAST_ONCE)
    assert held.distinct == held.read() == "abc"


@pytest.mark.parametrize("delivery", [Delivery.AT_MOST_ONCE, Delivery.EXACTLY_ONCE])
def test_repeated_piece_breaks_other_guarantees(stream: StreamInfo, delivery: Delivery) -> None:
    with pytest.raises(Failed, match="'ab' at offset 0 is there for the second time"):
        Held.of([(0, "ab"), (0, "ab")], stream).check_pieces(delivery)


@pytest.mark.parametrize("again", [(0, "ax"), (1, "b"), (0, "a")])
def test_piece_that_is_repeated_as_something_else_is_refused(stream: StreamInfo, again: tuple[int, str]) -> None:
    with pytest.raises(Failed, match="with another offset or other bytes"):
        Held.of([(0, "ab"), again], stream).check_pieces(Delivery.AT_LEAST_ONCE)


def test_overlap_is_read_once_and_a_gap_is_refused(stream: StreamInfo) -> None:
    assert Held.of([(0, "día"), (0, "día y")], stream).read() == "día y"
    with pytest.raises(Failed, match=r"bytes 2 to 3 are missing before 'c'"):
        Held.of([(0, "ab"), (3, "c")], stream).read()
