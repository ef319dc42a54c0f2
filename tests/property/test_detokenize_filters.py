"""What is true of the filters wherever their input is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from streamfan.detokenize import StopStrings
from streamfan.detokenize.cleanup import Replacer, SpaceCleaner
from streamfan.detokenize.utf8 import MAX_HELD, Utf8
from tests.support.tokenizers import byt5

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKENIZER = byt5()

# Few letters, so that matches, false beginnings and overlaps are common.
few = st.text("ab", max_size=30)
stop_lists = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)
contracted = st.lists(st.sampled_from([" ", " ", "'", "n't", "'s", "'ve", " '", ".", "?", "re", "m", "a"])).map("".join)


def cuts_of(data: st.DataObject, whole: Sequence[Any]) -> list[Any]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def joined(push: Callable[[Any], str], finish: Callable[[], str], parts: list[Any]) -> str:
    return "".join([*map(push, parts), finish()])


def expected_stop(text: str, stops: list[str]) -> str | None:
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return max(complete, key=len)
    return None


@given(text=few, stops=stop_lists, include=st.booleans(), data=st.data())
def test_stops_cut_the_text_where_a_search_of_the_whole_would(
    text: str, stops: list[str], include: bool, data: st.DataObject
) -> None:
    filter_ = StopStrings(stops, include_stop=include)

    streamed = joined(filter_.push, filter_.finish, cuts_of(data, text))

    stop = expected_stop(text, stops)
    ends = [end for end in range(len(text) + 1) if stop is not None and text[:end].endswith(stop)]
    cut = len(text) if stop is None else ends[0] - (0 if include else len(stop))
    assert (streamed, filter_.matched) == (text[:cut], stop)


@given(text=few, stops=stop_lists)
def test_stops_hold_exactly_what_may_still_become_one(text: str, stops: list[str]) -> None:
    filter_ = StopStrings(stops)

    out = "".join(map(filter_.push, text))

    if filter_.matched is None:
        held = text[len(out) :]
        suffixes = [text[start:] for start in range(len(text) + 1)]
        assert held == next(suffix for suffix in suffixes if any(stop.startswith(suffix) for stop in [*stops, ""]))


@given(text=contracted, data=st.data())
def test_clean_up_is_that_of_transformers(text: str, data: st.DataObject) -> None:
    cleaner = SpaceCleaner()

    streamed = joined(cleaner.push, cleaner.finish, cuts_of(data, text))

    assert streamed == TOKENIZER.clean_up_tokenization(text)


@given(text=few, pattern=st.text("ab", min_size=1, max_size=4), data=st.data())
def test_replacer_is_str_replace(text: str, pattern: str, data: st.DataObject) -> None:
    replacer = Replacer(pattern, "-")

    streamed = joined(replacer.push, replacer.finish, cuts_of(data, text))

    assert streamed == text.replace(pattern, "-")


hostile = st.lists(
    st.sampled_from(
        [b"a", b"\x80", b"\xbf", b"\xc3", b"\xe6\x97\xa5", b"\xe6", b"\xed\xa0", b"\xf0\x9f", b"\xf4\x90", b"\xff"]
    )
).map(b"".join)


@given(data=hostile | st.binary(max_size=20), draw=st.data())
def test_bytes_are_decoded_as_if_they_had_come_at_once(data: bytes, draw: st.DataObject) -> None:
    utf8 = Utf8()
    held: list[int] = []

    def push(part: bytes) -> str:
        text = utf8.push(part)
        held.append(len(utf8.held))
        return text

    assert joined(push, utf8.finish, cuts_of(draw, data)) == data.decode(errors="replace")
    assert max(held) <= MAX_HELD
