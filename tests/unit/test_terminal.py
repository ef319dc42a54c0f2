from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.terminal import visible, visible_json, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;cm0=\x07", "␛]52;c;cm0=␇"),
        ("\x1b[2J", "␛[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("safe\rreplaced", "safe␍replaced"),
        ("a\b\x7f\0", "a␈␡␀"),
        ("\u202etxt.exe\u2069", "\\u202etxt.exe\\u2069"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["a\n\tb", "naïve 日本語", "👩\u200d🚒", "\u200eעברית\u200f", "\u2028\u00a0"])
def test_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text())
def test_no_control_character_but_newline_and_tab_is_left(text: str) -> None:
    assert not [char for char in visible(text) if unicodedata.category(char) == "Cc" and char not in "\n\t"]


@given(st.text())
def test_a_line_stays_one(text: str) -> None:
    assert not [char for char in visible_line(text) if unicodedata.category(char) == "Cc"]


@given(st.text(), st.text())
def test_result_does_not_depend_on_where_the_text_is_split(head: str, tail: str) -> None:
    assert visible(head) + visible(tail) == visible(head + tail)


@given(st.recursive(st.text(), st.lists))
def test_json_stays_json_and_means_the_same(value: object) -> None:
    shown = visible_json(json.dumps(value, ensure_ascii=False))

    assert json.loads(shown) == value
    assert visible(shown) == shown
