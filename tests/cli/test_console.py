"""What stderr shows while something takes its time, and at the end."""

from __future__ import annotations

import io
import sys

import pytest

from streamfan.cli import console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal that remembers what is written; not in a fixture, for pytest has stderr change hands."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


@pytest.mark.parametrize("name", ["[/foo]", "[red]model", ":smile:"])
def test_name_of_what_is_waited_for_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    terminal = on_terminal(monkeypatch)

    with console.waiting(f"loading {name}"):
        pass

    assert f"loading {name}" in terminal.getvalue()


@pytest.mark.parametrize("text", ["[/foo]", "[red]model", ":smile:"])
def test_text_that_is_drawn_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    from rich.table import Table

    terminal = on_terminal(monkeypatch)
    table = Table("sink", title=text)
    table.add_row(text)

    console.draw(table)

    assert terminal.getvalue().count(text) == 2
