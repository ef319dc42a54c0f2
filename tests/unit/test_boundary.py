"""Where chunks are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.boundary import deliverable, fitting, next_piece
from streamfan.options import Boundary


def utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("boundary", "text", "delivered"),
    [
        ("chunk", "a b", "a b"),
        ("word", "one two thr", "one two "),
        ("word", "one", ""),
        ("word", "one\ttwo", "one\t"),
        ("line", "one\ntwo", "one\n"),
        ("line", "one", ""),
        ("sentence", "One. Two", "One. "),
        ("sentence", "pi is 3.14159", ""),
        ("sentence", 'He said "no." Then', 'He said "no." '),
        ("sentence", "日本語。次", "日本語。"),
        ("sentence", "A title\nText", "A title\n"),
        ("sentence", "What?! Oh", "What?! "),
        ("all", "everything. \n", ""),
    ],
)
def test_text_is_delivered_up_to_its_last_boundary(boundary: Boundary, text: str, delivered: str) -> None:
    assert text[: deliverable(text, boundary)] == delivered


@given(st.text(min_size=1), st.integers(4, 40))
def test_fitting_is_a_prefix_that_fits_unless_one_character_does_not(text: str, limit: int) -> None:
    piece = fitting(text, utf8, limit)

    assert piece
    assert text.startswith(piece)
    assert utf8(piece) <= limit or len(piece) == 1


@given(st.text(min_size=1), st.integers(4, 40), st.sampled_from(["chunk", "word", "line", "sentence"]))
def test_pieces_make_up_the_text(text: str, limit: int, boundary: Boundary) -> None:
    rest, pieces = text, []
    while rest:
        piece = next_piece(rest, boundary, last=True, full=False, size=utf8, limit=limit)
        assert piece
        pieces.append(piece)
        rest = rest[len(piece) :]

    assert "".join(pieces) == text


def test_more_than_fits_does_not_wait_for_a_boundary() -> None:
    assert next_piece("abcdef", "line", last=False, full=True, size=utf8, limit=6) == "abcdef"


def test_piece_that_is_too_large_is_cut_at_a_boundary_where_there_is_one() -> None:
    assert next_piece("one two three", "word", last=True, full=False, size=utf8, limit=9) == "one two "
