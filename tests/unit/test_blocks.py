"""Markdown in blocks: nothing is lost, what is finished stays, and the rest is bounded whatever comes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.cli.blocks import Blocks

LINES, WIDTH = 6, 20
PIECES = ("word ", "a" * 30, "\n", "\n\n", "```\n", "~~~\n", "# ", "- ", "1. ", "  ", "| a | b |\n", "|-|-|\n")
MARKDOWN = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
UNITS = ("a", "word ", "word\n", "- item\n", "> quote\n", "| a | b |\n", "```\n", "- a\n  b\n\n")


def cut(text: str, size: int = 1) -> list[str]:
    """All blocks of a text that comes in pieces of this size."""
    blocks = Blocks(LINES, WIDTH)
    finished = [block for at in range(0, len(text), size) for block in blocks.feed(text[at : at + size])]
    return [*finished, *blocks.finish()]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "", "three"]),
        ("# title\ntext", ["# title", "text"]),
        ("- a\n- b\n  more\n", ["- a", "- b\n  more"]),
        ("- a\n\n  still a\n\nb", ["- a\n\n  still a", "", "b"]),
        ("```py\na\n\n# b\n```\ntext", ["```py\na\n\n# b\n```", "text"]),
        ("| a |\n|---|\n| 1 |\n\nb", ["| a |\n|---|\n| 1 |", "", "b"]),
    ],
)
def test_text_is_cut_where_a_block_ends(text: str, blocks: list[str]) -> None:
    assert cut(text) == blocks


def test_long_code_goes_on_as_code() -> None:
    code = "".join(f"{number}\n" for number in range(8))

    assert cut(f"```py\n{code}```\n") == ["```py\n0\n1\n2\n3\n4\n5", "```py\n6\n7\n```"]


def test_long_table_keeps_its_head() -> None:
    rows = [f"| {number} |" for number in range(8)]

    first, second = cut("\n".join(["| a |", "|---|", *rows]))

    assert first.split("\n")[:2] == second.split("\n")[:2] == ["| a |", "|---|"]


@pytest.mark.parametrize("unit", UNITS)
def test_rest_is_bounded_whatever_the_text_is_made_of(unit: str) -> None:
    blocks = Blocks(LINES, WIDTH)

    for _ in range(500):
        blocks.feed(unit)
        assert len(blocks.rest) <= 2 * LINES * WIDTH


@given(text=MARKDOWN, size=st.integers(1, 40))
def test_nothing_is_lost_however_the_text_comes(text: str, size: int) -> None:
    def seen(text: str) -> str:
        # The head of a table and the fence of code come again.
        return re.sub(r"\s|[|`~-]", "", text).replace("ab", "")

    assert seen("".join(cut(text, size))) == seen(text)
    assert cut(text, size) == cut(text, 1)
