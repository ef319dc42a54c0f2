"""Which errors may pass, and when the next try is."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import Permanent, Retryable
from streamfan.retry import LONGEST_WAIT, Backoff, may_pass, wait_asked_for


@pytest.mark.parametrize(
    "error",
    [
        Retryable("busy"),
        TimeoutError(),
        ConnectionResetError(),
        ConnectionRefusedError(),
        *(OSError(number, "x") for number in (errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT)),
        OSError(errno.ENETUNREACH, "x"),
        OSError(errno.EHOSTUNREACH, "x"),
    ],
    ids=repr,
)
def test_error_that_may_pass_is_tried_again(error: BaseException) -> None:
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [Permanent("no"), BrokenPipeError(), OSError(errno.EIO, "x"), ValueError(), SystemExit(), PermissionError()],
    ids=repr,
)
def test_every_other_error_is_final(error: BaseException) -> None:
    assert not may_pass(error)
    assert Backoff(60).next_try(error, 0.0, inf) is None


def test_pauses_grow_to_five_seconds_and_no_further() -> None:
    backoff = Backoff(inf)

    pauses = [backoff.next_try(Retryable(), 0.0, inf) or 0.0 for _ in range(200)]

    assert pauses[0] <= 0.1
    assert 1.0 < max(pauses) <= 5.0


def test_destination_that_names_a_time_is_believed() -> None:
    assert Backoff(60).next_try(Retryable("busy", after=7.0), 100.0, inf) == 107.0


def test_destination_that_says_at_once_is_not_hammered() -> None:
    backoff = Backoff(inf)

    pauses = [backoff.next_try(Retryable("busy", after=0.0), 0.0, inf) or 0.0 for _ in range(200)]

    assert max(pauses) > 1.0


def test_nothing_is_tried_after_max_elapsed() -> None:
    backoff = Backoff(10)
    backoff.next_try(Retryable(after=1), 0.0, inf)

    assert backoff.next_try(Retryable(after=1), 8.5, inf) == 9.5
    assert backoff.next_try(Retryable(), 10.1, inf) is None
    assert backoff.next_try(Retryable(after=1), 10.1, inf) is None


@pytest.mark.parametrize("after", [3.0, 1e9])
def test_time_that_comes_too_late_leaves_one_more_try(after: float) -> None:
    backoff = Backoff(10)
    backoff.next_try(Retryable(after=1), 0.0, inf)

    assert backoff.next_try(Retryable(after=after), 8.0, inf) == 10.0
    assert backoff.next_try(Retryable(after=after), 10.0, inf) is None


def test_nothing_is_tried_after_the_deadline() -> None:
    assert Backoff(60).next_try(Retryable(after=5), 0.0, 4.0) is None


def test_next_piece_has_all_its_tries() -> None:
    backoff = Backoff(10)
    backoff.next_try(Retryable(after=1), 0.0, inf)

    backoff.reset()

    assert backoff.next_try(Retryable(after=1), 100.0, inf) == 101.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("999999999", LONGEST_WAIT),
        ("Fri, 31 Dec 2199 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 31 Dec 2199 23:59:59 -0000", LONGEST_WAIT),
        (None, None),
        ("", None),
        ("-7", None),
        ("7.5", None),
        ("٧", None),
        ("9" * 5000, None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Fri, 99 Dec 2199 99:99:99 GMT", None),
        ("Fri, 31 Dec 2199 23:59:59 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read_or_ignored(header: str | None, seconds: float | None) -> None:
    assert wait_asked_for({} if header is None else {"retry-after": header}) == seconds


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+]?\w+")))
def test_no_retry_after_is_an_error_or_a_wait_without_end(header: str) -> None:
    wait = wait_asked_for({"retry-after": header})

    assert wait is None or 0 <= wait <= LONGEST_WAIT


def test_retry_after_with_a_date_is_the_time_left_until_then() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)

    wait = wait_asked_for({"retry-after": date})

    assert wait is not None
    assert 0 < wait <= 1800


@pytest.mark.parametrize("wrong_by", [timedelta(days=-400), timedelta(seconds=-90), timedelta(hours=5)])
def test_retry_after_does_not_depend_on_the_receivers_clock(wrong_by: timedelta) -> None:
    there = datetime.now(UTC) + wrong_by
    until = format_datetime(there + timedelta(seconds=60), usegmt=True)

    wait = wait_asked_for({"retry-after": until, "date": format_datetime(there, usegmt=True)})

    assert wait == 60.0


def test_date_that_cannot_be_read_leaves_our_own_clock() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)

    wait = wait_asked_for({"retry-after": until, "date": "yesterday"})

    assert wait is not None
    assert 0 < wait <= 1800
