"""What the log says of a lane's state: each change, but not again and again what comes and goes."""

from __future__ import annotations

import logging

import pytest

from streamfan.lane.health import Health
from streamfan.report import State


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [100.0]
    monkeypatch.setattr("streamfan.lane.health.monotonic", lambda: now[0])
    return now


@pytest.fixture
def health() -> Health:
    """Of a lane that has begun well."""
    health = Health("s")
    health.note(State.OK, str)
    return health


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def flap(health: Health, times: int) -> None:
    """Be busy and well again."""
    for _ in range(times):
        health.note(State.DEGRADED, lambda: "busy")
        health.note(State.DEGRADED, lambda: "busy")
        health.note(State.OK, str)


def test_state_that_comes_and_goes_is_told_every_ten_seconds_with_how_often_it_was(
    clock: list[float], health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    flap(health, 128)
    clock[0] += 10
    flap(health, 1)

    assert said(caplog) == [
        "sink 's' is degraded: busy",
        "sink 's' is ok",
        "sink 's' is degraded, 128 times since that was last said: busy",
        "sink 's' is ok",
    ]


def test_trouble_that_lasts_is_told_when_it_may_be(
    clock: list[float], health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    flap(health, 1)
    health.note(State.DEGRADED, lambda: "write() has not returned")
    clock[0] += 10
    health.note(State.DEGRADED, lambda: "write() has not returned")

    assert said(caplog)[2:] == ["sink 's' is degraded: write() has not returned"]


def test_failure_is_told_at_once_whatever_was_told_before(
    clock: list[float], health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    flap(health, 2)
    health.note(State.DEGRADED, lambda: "busy")
    health.fault(ValueError("refused"))
    health.note(State.FAILED, str)

    assert said(caplog)[2:] == ["sink 's' is failed: ValueError: refused"]
