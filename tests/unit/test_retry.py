"""Which errors may pass, and when the next try is."""

from __future__ import annotations

import errno
from math import inf

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.retry import Backoff, may_pass


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
