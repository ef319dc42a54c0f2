"""What the answers of a server mean, whoever has written what is in it."""

from __future__ import annotations

from typing import Any

import pytest

from streamfan.errors import WireError
from streamfan.events import encode
from streamfan.redis.lease import Lease
from streamfan.redis.names import EntryId, Names
from streamfan.subscriber import history
from tests.support.wire_events import end, start, text

LEASE = Lease(attempt=7, writer="w", seconds=5.0, control="token", live=False)
NAMES = Names("streamfan", "s")


def log(*entries: tuple[bytes, bytes]) -> list[Any]:
    """Entries of a log, the way a server answers."""
    return [[id, [b"event", data]] for id, data in entries]


def attempt(**fields: str) -> list[Any]:
    return [[b"7-0", [part.encode() for field in fields.items() for part in field]]]


def test_what_is_asked_of_a_stream_is_answered_as_one_look() -> None:
    answers = (LEASE.encode(), 4200, attempt(writer="w"), log((b"7-5", encode(text(0, "Hello")))))

    assert len(history.look(NAMES)) == len(answers)
    assert history.seen(*answers) == (LEASE, 4.2, 5.0, EntryId(7, 5), False)


def test_the_end_is_known_by_its_event_and_not_by_its_id() -> None:
    ended = history.seen(None, -2, attempt(writer="w"), log((b"7-6", encode(end("Hello")))))
    running = history.seen(None, -2, attempt(writer="w"), log((b"7-6", encode(text(5, "!")))))

    assert (ended.ended, running.ended) == (True, False)


def test_nothing_at_all_is_no_stream() -> None:
    assert history.seen(None, -2, [], []) == (None, 0.0, history.DEFAULT_LEASE, None, False)


def test_a_lease_that_somebody_has_made_last_for_ever_is_worth_its_own_time() -> None:
    assert history.seen(LEASE.encode(), -1, [], []).remaining == 5.0


def test_a_lease_that_has_just_run_out_is_none() -> None:
    look = history.seen(LEASE.encode(), -2, [], [])

    assert look.remaining == 0.0


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"writer": "w", "lease": "7.5"}, 7.5),
        ({"writer": "w"}, history.DEFAULT_LEASE),
        ({"writer": "w", "lease": "soon"}, history.DEFAULT_LEASE),
        ({"writer": "w", "lease": "nan"}, history.DEFAULT_LEASE),
        ({"writer": "w", "lease": "inf"}, history.DEFAULT_LEASE),
        ({"writer": "w", "lease": "-1"}, history.DEFAULT_LEASE),
    ],
)
def test_without_a_lease_the_attempt_key_says_how_long_one_lasts(fields: dict[str, str], seconds: float) -> None:
    assert history.seen(None, -2, attempt(**fields), []).lease_time == seconds


@pytest.mark.parametrize("lease", [b"", b"7 w", b"{}", b"[]", b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:9]))
def test_what_is_no_lease_is_none(lease: bytes) -> None:
    look = history.seen(lease, 4200, attempt(writer="w", lease="7.5"), log((b"7-5", encode(text(0, "Hello")))))

    assert (look.lease, look.lease_time, look.last) == (None, 7.5, EntryId(7, 5))


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1", "0"])
def test_a_lease_of_no_time_or_of_all_time_is_none(seconds: str) -> None:
    data = f'{{"attempt":7,"writer":"w","seconds":{seconds}}}'.encode()

    assert history.seen(data, 4200, [], []).lease is None


def test_fields_that_are_not_known_here_are_ignored() -> None:
    data = LEASE.encode().replace(b"{", b'{"new":{"deep":1},', 1)

    assert history.seen(data, 4200, [], []).lease == LEASE


def test_a_last_entry_that_is_no_event_is_an_error() -> None:
    with pytest.raises(WireError, match="not an event"):
        history.seen(None, -2, [], log((b"7-5", b"nonsense")))


def test_the_event_of_an_entry_is_found_among_other_fields() -> None:
    data = encode(start())
    answer = [
        [b"7-0", [b"other", b"event", b"event", data]],
        [b"7-1", [b"other", b"x"]],
    ]

    assert history.entries(answer) == [(EntryId(7, 0), data), (EntryId(7, 1), b"")]
