"""Which streams begin: announced on a channel, or found in the index."""

from __future__ import annotations

import pytest

from streamfan.errors import ServerUnreachable
from streamfan.subscriber.arrivals import Arrival, Arrivals

A, B, C = (Arrival(name, 7) for name in "abc")
LATER = Arrival("a", 8)

Given = list[Arrival | BaseException]


def arrivals() -> tuple[Arrivals, Given]:
    given: Given = []
    return Arrivals(given.append), given


def test_what_is_there_at_first_is_old() -> None:
    made, given = arrivals()

    made.list([A, B])
    made.list([A, B, C])

    assert given == [C]


def test_what_is_announced_is_given_once_also_when_it_is_listed_later() -> None:
    made, given = arrivals()

    made.list([])
    made.announce(A)
    made.announce(A)
    made.list([A, B])

    assert given == [A, B]


def test_what_is_announced_before_the_first_list_is_new() -> None:
    made, given = arrivals()

    made.announce(A)
    made.list([A, B])

    assert given == [A]


def test_an_old_stream_that_is_announced_has_begun_again() -> None:
    made, given = arrivals()

    made.list([A])
    made.announce(A)
    made.list([A])

    assert given == [A]


def test_an_old_stream_that_was_pushed_out_of_the_index_and_comes_back_is_still_old() -> None:
    made, given = arrivals()

    made.list([A])
    made.list([])
    made.list([A])

    assert given == []


def test_a_later_attempt_is_new_announced_or_listed() -> None:
    made, given = arrivals()

    made.list([A, B])
    made.announce(Arrival("b", 8))
    made.announce(Arrival("b", 8))
    made.list([LATER, Arrival("b", 8)])
    made.announce(LATER)

    assert given == [Arrival("b", 8), LATER]


def test_an_earlier_attempt_than_the_one_that_was_given_is_not() -> None:
    made, given = arrivals()

    made.list([])
    made.announce(LATER)
    made.announce(A)
    made.list([A])

    assert given == [LATER]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"a 7", A),
        (b"a", Arrival("a")),
        (b"../../etc/passwd 7", None),
        (b"", None),
        (b" 7", None),
        (b"a b 7", None),
        (b"a -7", None),
        (b"a \xc2\xb2", None),
        (b"x" * 65, None),
        (b"a " + b"9" * 5000, None),
        (b"\xff", None),
    ],
)
def test_what_a_channel_says_is_a_stream_and_its_attempt_or_nothing(said: bytes, meant: Arrival | None) -> None:
    assert Arrival.parse(said) == meant


def test_a_stream_that_comes_back_at_its_end_is_not_given_again() -> None:
    made, given = arrivals()
    names = [Arrival(f"s{number}", 7) for number in range(10_000)]

    made.list([])
    for name in names:
        made.announce(name)
    made.list([names[0]])

    assert given == names


def test_not_every_stream_is_remembered_for_ever() -> None:
    made, given = arrivals()

    for number in range(100_000):
        made.announce(Arrival(f"s{number}", 7))

    assert len(given) == 100_000
    assert len(made._given) < 70_000


def test_what_finds_no_room_is_given_when_the_index_says_it_again() -> None:
    given: list[Arrival | BaseException] = []
    full = True
    made = Arrivals(given.append, lambda: full)

    made.list([])
    made.announce(A)
    before = list(given)
    full = False
    made.list([A])

    assert (before, given) == ([], [A])


def test_an_error_is_given_after_what_was_found() -> None:
    made, given = arrivals()
    error = ServerUnreachable("away")

    made.list([])
    made.announce(A)
    made.fail(error)

    first, told = given
    assert first == A
    assert repr(told) == repr(error)
    # Others are told the same, and each raises it in its own thread.
    assert told is not error


def test_attempt_that_nobody_can_have_is_nothing() -> None:
    assert Arrival.parse(b"s 9007199254740991") == Arrival("s", 2**53 - 1)
    assert Arrival.parse(b"s 9007199254740992") is None
