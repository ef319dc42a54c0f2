"""The reading rule: whatever is shown, in whatever order and however often, the text is let through once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import HistoryTrimmed, TextAltered, WireError
from streamfan.events import Event, Gap, Text
from streamfan.subscriber.position import Position
from tests.support.wire_events import ATTEMPT, STREAM, end, start, text

if TYPE_CHECKING:
    from collections.abc import Iterable

WHOLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def at(offset: int = 0) -> Position:
    position = Position(STREAM, offset)
    position.begin(ATTEMPT)
    return position


def read(position: Position, events: Iterable[Event]) -> tuple[bytes, list[tuple[int, int]]]:
    """What is let through, with holes filled with zeros, and the holes; an event is shown again after a hole."""
    data = b""
    holes: list[tuple[int, int]] = []
    for event in events:
        try:
            fresh = position.advance(event)
        except HistoryTrimmed as hole:
            holes.append((hole.offset, hole.end))
            data += bytes(hole.end - hole.offset)
            fresh = position.advance(event)
        if isinstance(fresh, Text):
            assert fresh.end - fresh.offset == len(fresh.text.encode())
            assert fresh.end == position.offset
            data += fresh.text.encode()
    return data, holes


def piece(whole: str, first: int, last: int) -> Text:
    """The characters of `whole` from `first` to `last`."""
    return text(len(whole[:first].encode()), whole[first:last])


@st.composite
def pieces(draw: st.DrawFn) -> tuple[str, list[Text]]:
    """A text, and pieces of it from anywhere, in any order."""
    whole = draw(WHOLE)
    bounds = st.lists(st.integers(0, len(whole)), min_size=2, max_size=2, unique=True).map(sorted)
    return whole, [piece(whole, first, last) for first, last in draw(st.lists(bounds, max_size=12))]


@st.composite
def repeated_pieces(draw: st.DrawFn) -> tuple[str, list[Text]]:
    """A text, and pieces that leave no hole: each begins at or before what was reached, and old ones come again."""
    whole = draw(WHOLE)
    shown: list[Text] = []
    reached = 0
    for last in [*sorted(draw(st.sets(st.integers(1, len(whole)), max_size=5))), len(whole)]:
        shown.append(piece(whole, draw(st.integers(0, min(reached, last - 1))), last))
        reached = last
        shown += draw(st.lists(st.sampled_from(shown), max_size=2))
    return whole, shown


# Text


@given(pieces(), st.data())
def test_what_is_let_through_and_the_holes_are_the_text_once(
    shown: tuple[str, list[Text]], data: st.DataObject
) -> None:
    whole, events = shown
    offset = len(whole[: data.draw(st.integers(0, len(whole)))].encode())

    got, holes = read(position := at(offset), events)

    expected = bytearray(whole.encode()[offset : position.offset])
    for first, last in holes:
        expected[first - offset : last - offset] = bytes(last - first)
    assert got == expected


@given(pieces())
def test_a_hole_is_told_only_where_nothing_before_has_filled_it(shown: tuple[str, list[Text]]) -> None:
    _, events = shown
    expected, reached = [], 0
    for event in events:
        if event.offset > reached:
            expected.append((reached, event.offset))
        reached = max(reached, event.end)

    _, holes = read(at(), events)

    assert holes == expected


@given(repeated_pieces())
def test_overlaps_and_repeats_give_the_text_once_and_its_end_is_believed(shown: tuple[str, list[Text]]) -> None:
    whole, events = shown
    position = at()

    got, holes = read(position, [start(), *events])

    assert (got, holes) == (whole.encode(), [])
    assert position.advance(end(whole)) == end(whole)


@given(repeated_pieces(), st.data())
def test_from_any_offset_the_rest_of_the_text_comes(shown: tuple[str, list[Text]], data: st.DataObject) -> None:
    whole, events = shown
    offset = len(whole[: data.draw(st.integers(0, len(whole)))].encode())

    got, holes = read(at(offset), events)

    assert (got, holes) == (whole.encode()[offset:], [])


def test_the_rest_of_a_piece_has_no_token_ids() -> None:
    position = at()
    position.advance(text(0, "Hel"))

    fresh = position.advance(text(0, "Hello", token_ids=(1, 2)))

    assert fresh == text(3, "lo")


def test_a_cut_inside_a_character_is_an_error_and_moves_nothing() -> None:
    position = at(1)

    with pytest.raises(WireError, match="byte 1 is inside a character"):
        position.advance(text(0, "é"))

    assert position.offset == 1


def test_a_text_that_is_not_as_long_as_it_says_is_an_error_and_moves_nothing() -> None:
    position = at()

    with pytest.raises(WireError, match="text from 0 to 9 has 5 bytes"):
        position.advance(text(0, "Hello", end=9))

    assert position.offset == 0


def test_a_gap_event_is_a_hole_unless_its_text_was_read() -> None:
    position = at()
    position.advance(text(0, "Hello"))

    assert position.advance(Gap(stream=STREAM, attempt=ATTEMPT, offset=0, end=5)) is None
    with pytest.raises(HistoryTrimmed) as caught:
        position.advance(Gap(stream=STREAM, attempt=ATTEMPT, offset=5, end=90))

    assert (caught.value.offset, caught.value.end, position.offset) == (5, 90, 90)


# Start


def test_a_start_is_let_through_once() -> None:
    position = at()

    assert [position.advance(start()), position.advance(start())] == [start(), None]


@pytest.mark.parametrize("offset", [0, 5])
def test_a_start_comes_not_after_text(offset: int) -> None:
    position = at(offset)
    position.advance(text(0, "Hello, world"))

    assert position.advance(start()) is None


def test_a_later_attempt_is_read_from_its_start() -> None:
    position = at()
    position.advance(start())
    position.advance(text(0, "old"))

    position.begin(8)

    assert position.advance(start(8)) == start(8)
    assert position.advance(text(0, "newer", 8)) == text(0, "newer", 8)
    assert position.advance(end("newer", 8)) == end("newer", 8)


# End


def test_an_end_after_less_text_is_a_hole_and_then_the_end() -> None:
    position = at()
    position.advance(text(0, "Hel"))

    with pytest.raises(HistoryTrimmed) as caught:
        position.advance(end("Hello"))

    assert (caught.value.offset, caught.value.end) == (3, 5)
    assert position.advance(end("Hello")) == end("Hello")


def test_an_end_with_another_sha256_is_not_believed() -> None:
    position = at()
    position.advance(text(0, "Hallo"))

    with pytest.raises(TextAltered, match="sha256 differ"):
        position.advance(end("Hello"))


def test_an_end_before_what_was_read_is_not_believed() -> None:
    position = at()
    position.advance(text(0, "Hello"))

    with pytest.raises(TextAltered, match="ends after 3 bytes, but this is 5"):
        position.advance(end("Hel"))


def test_of_text_that_was_not_read_no_sha256_is_checked() -> None:
    position = at(3)
    position.advance(text(3, "lo"))

    changed = replace(end("Hello"), sha256="0" * 64)

    assert position.advance(changed) == changed
