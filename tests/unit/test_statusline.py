"""Where the cursor is after some text, as far as the bottom line must know it."""

from __future__ import annotations

import pytest

from streamfan.statusline import Screen

WIDTH = 80


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("", True),
        ("a", True),
        ("a" * 79, True),
        ("a" * 80, False),
        ("a" * 81, True),
        ("a" * 160, False),
        ("a" * 80 + "\n", True),
        ("世" * 40, False),
        ("世" * 39 + "a", True),
        # One cell or two: only somewhere near the end of a row can it matter.
        ("“" + "a" * 50, True),
        ("“" + "a" * 78, False),
        ("“" + "a" * 79, False),
        ("“" + "a" * 80, True),
        ("e\u0301" * 30, True),
        ("e\u0301" * 40, False),
    ],
)
def test_line_is_drawn_unless_the_cursor_may_be_behind_a_full_row(
    monkeypatch: pytest.MonkeyPatch, text: str, safe: bool
) -> None:
    monkeypatch.setattr("streamfan.statusline._shared", lambda: True)
    screen = Screen()

    with screen.text(text):
        pass

    assert screen._safe is safe


def test_nothing_is_drawn_while_text_is_being_written_nor_after_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan.statusline._shared", lambda: True)
    screen = Screen()

    with pytest.raises(OSError, match="broken"), screen.text("text"):
        assert not screen._safe
        raise OSError("broken")

    assert not screen._safe
    with screen.text("more\n"):
        pass
    assert screen._safe
