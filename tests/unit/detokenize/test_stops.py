from __future__ import annotations

import pytest

from streamfan.detokenize import StopStrings


def fed(stops: StopStrings, *texts: str) -> list[str]:
    return [*map(stops.push, texts), stops.finish()]


@pytest.mark.parametrize(
    "texts",
    [
        ("one STOP two",),
        ("one ST", "OP two"),
        ("one S", "T", "OP", " two"),
        ("one ", "STOP", " two"),
        tuple("one STOP two"),
    ],
    ids=["inside a token", "over two", "over three", "a token of its own", "character by character"],
)
def test_nothing_from_a_stop_on_comes_out(texts: tuple[str, ...]) -> None:
    stops = StopStrings(["STOP"])

    assert "".join(fed(stops, *texts)) == "one "
    assert stops.matched == "STOP"


def test_text_goes_out_as_soon_as_a_match_is_impossible() -> None:
    stops = StopStrings(["DEFGHIJ"])

    assert fed(stops, "ABC", "DEFG", "x", "D") == ["ABC", "", "DEFGx", "", "D"]
    assert stops.matched is None


def test_no_more_is_held_than_may_still_become_a_stop() -> None:
    stops = StopStrings(["abcabd"])

    assert fed(stops, "xabcab", "c", "abd") == ["x", "abc", "", ""]
    assert stops.matched == "abcabd"


@pytest.mark.parametrize(
    ("stops", "text", "matched", "expected"),
    [
        (["ab", "abc", "b"], "xabc", "ab", "x"),
        (["abc", "b"], "xabc", "b", "xa"),
        (["bcd", "abcde"], "xabcde", "bcd", "xa"),
        (["cd", "abcd"], "xabcd", "abcd", "x"),
        (["x", "x"], "axb", "x", "a"),
    ],
    ids=["tie: begins first", "completes first", "completes first, begins later", "tie of suffixes", "given twice"],
)
def test_the_stop_that_completes_first_wins_and_of_two_the_one_that_begins_first(
    stops: list[str], text: str, matched: str, expected: str
) -> None:
    whole, single = StopStrings(stops), StopStrings(stops)

    assert "".join(fed(whole, text)) == "".join(fed(single, *text)) == expected
    assert whole.matched == single.matched == matched


def test_stop_itself_can_be_let_through() -> None:
    stops = StopStrings(["</s>"], include_stop=True)

    assert fed(stops, "a</", "s>b", "c") == ["a", "</s>", "", ""]
    assert stops.matched == "</s>"


def test_text_after_a_stop_is_ignored_even_if_it_has_another() -> None:
    stops = StopStrings(["1", "2"])

    assert fed(stops, "a1b2c", "2", "d") == ["a", "", "", ""]
    assert stops.matched == "1"


def test_part_of_a_stop_at_the_end_is_text() -> None:
    stops = StopStrings(["\n\nUser:"])

    assert fed(stops, "Hello\n", "\nUs") == ["Hello", "", "\n\nUs"]
    assert stops.matched is None


def test_stops_are_code_points_not_bytes() -> None:
    stops = StopStrings(["語。", "🎉"])

    assert fed(stops, "日本", "語", "の🎉x") == ["日本", "", "語の", ""]
    assert stops.matched == "🎉"


def test_without_stops_all_text_passes() -> None:
    assert fed(StopStrings([]), "a", "", "b") == ["a", "", "b", ""]


def test_held_text_is_bounded_by_the_longest_stop() -> None:
    stops = StopStrings(["a" * 50 + "b", "aab"])

    streamed = [stops.push("a") for _ in range(4000)]

    assert streamed == [""] * 50 + ["a"] * 3950
    assert stops.finish() == "a" * 50


def test_empty_stop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must not be empty.*\['a', ''\]"):
        StopStrings(["a", ""])


def test_string_in_place_of_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not the string 'STOP'\nTry: \['STOP'\]"):
        StopStrings("STOP")


@pytest.mark.parametrize("stop", [None, 3, b"x"])
def test_stop_that_is_no_string_is_refused(stop: object) -> None:
    with pytest.raises(ValueError, match="must be strings"):
        StopStrings([stop])  # type: ignore[list-item]
