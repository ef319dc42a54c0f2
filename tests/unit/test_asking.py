"""What a signal does that comes in the moment before a line is read."""

from __future__ import annotations

import io
import sys

import pytest

from streamfan.cli import asking
from streamfan.cli.asking import Lines
from streamfan.errors import UsageError


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a line\n")))
    return Lines()


def test_end_that_comes_before_the_reading_lets_none_begin(lines: Lines) -> None:
    lines.stop(EOFError())

    assert lines.ask() is None


def test_interrupt_that_comes_before_the_reading_is_raised_by_it(lines: Lines) -> None:
    lines.stop(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        lines.ask()


def test_line_without_an_end_is_not_read_into_memory(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_LONGEST_LINE", 5)

    with pytest.raises(UsageError, match="longer than"):
        lines.ask()
    assert sys.stdin.buffer.read() == b"\n"
