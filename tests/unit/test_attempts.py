"""Attempts: strictly increasing, whoever gives the number."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from streamfan import attempts
from streamfan.attempts import Attempts, next_attempt
from streamfan.errors import UsageError


def test_attempts_increase_strictly() -> None:
    taken = [next_attempt() for _ in range(1000)]

    assert all(earlier < later for earlier, later in pairwise(taken))


def test_generated_attempt_is_later_than_any_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_latest", 0)
    ahead = int(time.time() * 1000) + 3_600_000

    Attempts().take("s", ahead)

    assert Attempts().take("s", None) == ahead + 1


def test_given_attempt_counts_for_its_own_id_only() -> None:
    taken = Attempts()
    taken.take("a", 5)

    assert (taken.take("b", 5), taken.take("a", 6)) == (5, 6)


@pytest.mark.parametrize("attempt", [1, 4, 5])
def test_attempt_that_is_not_later_is_refused(attempt: int) -> None:
    taken = Attempts()
    taken.take("a", 5)

    with pytest.raises(UsageError, match=f"attempt {attempt} of stream 'a' is not later than attempt 5"):
        taken.take("a", attempt)


@pytest.mark.parametrize("attempt", [-1, 0, 2**53, 1.5, "5"])
def test_attempt_out_of_range_is_refused(attempt: Any) -> None:
    with pytest.raises(UsageError, match=f"attempt {attempt} of stream 'a' is out of range"):
        Attempts().take("a", attempt)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_REMEMBERED", 3)
    taken = Attempts()
    for id in "abcd":
        taken.take(id, 5)

    assert taken.take("a", 5) == 5
    with pytest.raises(UsageError):
        taken.take("d", 5)
