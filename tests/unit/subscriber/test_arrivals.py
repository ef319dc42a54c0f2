"""Which streams begin: announced on a channel, or found in the index."""

from __future__ import annotations

from streamfan.errors import ServerUnreachable
from streamfan.subscriber.arrivals import Arrivals

Given = list[str | BaseException]


def arrivals() -> tuple[Arrivals, Given]:
    given: Given = []
    return Arrivals(given.append), given


def test_what_is_there_at_first_is_old() -> None:
    made, given = arrivals()

    made.list(["a", "b"])
    made.list(["a", "b", "c"])

    assert given == ["c"]


def test_what_is_announced_is_given_once_also_when_it_is_listed_later() -> None:
    made, given = arrivals()

    made.list([])
    made.announce("a")
    made.announce("a")
    made.list(["a", "b"])

    assert given == ["a", "b"]


def test_what_is_announced_before_the_first_list_is_new() -> None:
    made, given = arrivals()

    made.announce("a")
    made.list(["a", "b"])

    assert given == ["a"]


def test_an_old_stream_that_is_announced_has_begun_again() -> None:
    made, given = arrivals()

    made.list(["a"])
    made.announce("a")
    made.list(["a"])

    assert given == ["a"]


def test_an_old_stream_that_was_forgotten_and_comes_back_is_new() -> None:
    made, given = arrivals()

    made.list(["a"])
    made.list([])
    made.list(["a"])

    assert given == ["a"]


def test_what_no_stream_may_be_called_is_ignored() -> None:
    made, given = arrivals()

    made.list([])
    made.announce("../../etc/passwd")
    made.list(["", "a b", "x" * 65, "\ufffd"])

    assert given == []


def test_a_stream_that_comes_back_at_its_end_is_not_given_again() -> None:
    made, given = arrivals()
    names = [f"s{number}" for number in range(10_000)]

    made.list([])
    for name in names:
        made.announce(name)
    made.list([names[0]])

    assert given == names


def test_not_every_stream_is_remembered_for_ever() -> None:
    made, given = arrivals()

    for number in range(100_000):
        made.announce(f"s{number}")

    assert len(given) == 100_000
    assert len(made._given) < 70_000


def test_an_error_is_given_after_what_was_found() -> None:
    made, given = arrivals()
    error = ServerUnreachable()

    made.list([])
    made.announce("a")
    made.fail(error)

    assert given == ["a", error]
