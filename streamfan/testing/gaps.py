"""Promises about text that a sink is told of instead of being given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from streamfan.events import Chunk, Gap, Text
from streamfan.sink import Delivery, Sink
from streamfan.testing.promises import broken
from streamfan.testing.suite import Suite
from streamfan.testing.values import chunks, new_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from streamfan.events import StreamInfo
    from streamfan.testing.held import Held
    from streamfan.testing.kit import Kit

# Bytes and characters differ, so that one cannot be taken for the other.
_WORDS = ["día ", "日本 ", "語 ", "𝄞 ", "y ", "fin"]


class GapTests(Suite):
    """Where a sink accepts gaps, its destination says what is missing, and has the rest."""

    def test_gap_is_told_once(self, kit: Kit) -> None:
        """Whether it is at the beginning of a text, in the middle or at the end."""
        missing = (0, 2, 5)
        found = _gaps(_delivered(kit, missing))

        if len(found) != len(missing):
            broken(f"{len(missing)} gaps were told of, and the destination holds {found}", Sink.gap)

    def test_gap_says_what_is_missing(self, kit: Kit) -> None:
        """Its offsets are those of the text that is not there, in UTF-8 bytes."""
        offset = len("".join(_WORDS[:2]).encode())
        end = offset + len(_WORDS[2].encode())

        for gap in _gaps(_delivered(kit, [2])):
            if (gap.offset, gap.end) != (offset, end):
                broken(f"bytes {offset} to {end} are missing, and the destination holds {gap}", Sink.gap)

    def test_gap_stands_where_the_text_is_missing(self, kit: Kit) -> None:
        """A reader comes to it between what is before and what is after."""
        held = _delivered(kit, [2])

        for gap in _gaps(held):
            before = held.records[: held.records.index(gap)]
            text = "".join(event.text for event in before if isinstance(event, Text))
            if text != "".join(_WORDS[:2]):
                broken(f"the gap stands after {text!r}, expected after {''.join(_WORDS[:2])!r}", Sink.gap)

    def test_text_after_a_gap_is_kept(self, kit: Kit) -> None:
        """All that comes after it arrives."""
        held = _delivered(kit, [2])

        if held.text != (expected := _without([2])):
            broken(f"the destination holds {held.text!r} instead of {expected!r}", Sink.gap)

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_failed_gap_is_made_good(self, kit: Kit, moment: Literal["before", "after"]) -> None:
        """It fails before the destination has heard of it, or after it has; `open` says whether it is told again."""
        sink, stream = _accepting(kit), new_stream()
        *given, missing, rest = chunks(stream, *_WORDS)
        gap = _gap(missing)
        kit.open(sink, stream)
        for chunk in given:
            kit.write(sink, chunk)
        if moment == "after":
            kit.gap(sink, gap)
        if _is_to_be_told(gap, kit.open(sink, stream), sink.delivery):
            kit.gap(sink, gap)
        kit.write(sink, rest)
        kit.close(sink, stream, "".join(_WORDS), complete=False)

        kit.check(stream, _without([4]), sink.delivery)
        _check_number(_gaps(kit.held(stream)), sink.delivery)


def _accepting(kit: Kit) -> Sink:
    sink = kit.connected()
    if not sink.accepts_gaps:
        pytest.skip("the sink accepts no gaps")
    return sink


def _delivered(kit: Kit, missing: Collection[int]) -> Held:
    """What the destination holds of a stream of which it was not given the words that are `missing`."""
    sink, stream = _accepting(kit), new_stream()
    kit.open(sink, stream)
    for piece in _pieces(stream, missing):
        if isinstance(piece, Gap):
            kit.gap(sink, piece)
        else:
            kit.write(sink, piece)
    kit.close(sink, stream, "".join(_WORDS), complete=False)
    return kit.held(stream)


def _pieces(stream: StreamInfo, missing: Collection[int]) -> Iterator[Chunk | Gap]:
    for number, chunk in enumerate(chunks(stream, *_WORDS)):
        yield _gap(chunk) if number in missing else chunk


def _gap(chunk: Chunk) -> Gap:
    return Gap(stream=chunk.stream.id, attempt=chunk.stream.attempt, offset=chunk.offset, end=chunk.end)


def _without(missing: Collection[int]) -> str:
    return "".join(word for number, word in enumerate(_WORDS) if number not in missing)


def _gaps(held: Held) -> list[Gap]:
    if all(isinstance(record, tuple) for record in held.records):
        pytest.skip("received() gives no events, and so no gaps")
    return [record for record in held.records if isinstance(record, Gap)]


def _is_to_be_told(gap: Gap, said: int | None, delivery: Delivery) -> bool:
    """Whether a lane tells of `gap` again, after a failure, where `open` has returned `said`."""
    if said is None:
        return delivery is not Delivery.AT_MOST_ONCE
    if said not in {gap.offset, gap.end}:
        broken(f"open() returned {said!r}, expected {gap.offset} without the last gap, or {gap.end} with it", Sink.gap)
    return said == gap.offset


def _check_number(found: list[Gap], delivery: Delivery) -> None:
    too_many = len(found if delivery is not Delivery.AT_LEAST_ONCE else set(found)) > 1
    too_few = delivery is not Delivery.AT_MOST_ONCE and not found
    if too_many or too_few:
        broken(f"a gap was to be told {delivery}, and the destination holds {found}", delivery)
