"""Which options belong together, and what follows from them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from streamfan.sink import Delivery
from streamfan.sinks.redis import RedisOptions, RedisSink


def sink(**options: Any) -> RedisSink:
    return RedisSink("redis://host", RedisOptions.model_validate(options))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"control_token": "t0ken"}, "control_token needs control = true: else nobody is heard"),
        ({"control": True, "control_token": ""}, "control_token is empty"),
        ({"control": True, "mode": "pubsub"}, "control needs mode both or log: nothing is kept in mode pubsub"),
        ({"ttl": "1h", "mode": "pubsub"}, "ttl needs mode both or log: nothing is kept in mode pubsub"),
        ({"wait_replicas": 1, "mode": "pubsub"}, "wait_replicas needs mode both or log"),
        ({"wait_replicas": 1, "lease": 9}, "wait_timeout needs a lease at least twice as long"),
        ({"format": "text"}, "format needs mode pubsub, and it is 'both'"),
        ({"channel": "c", "mode": "log"}, "channel needs mode pubsub, and it is 'log'"),
        ({"format": "text", "mode": "pubsub", "token_ids": True}, "token_ids needs format json"),
        ({"lease": 4.9}, "lease\n.*greater than or equal to 5"),
        ({"history_bytes": "1KiB"}, "history_bytes\n.*greater than or equal to 4096"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        sink(**options)

    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "heartbeat"),
    [
        ({}, 2.0),
        ({"lease": 60}, 6.0),
        ({"lease": 5}, 0.5),
        ({"control": True}, 1.0),
        ({"control": True, "mode": "log", "lease": 60}, 1.0),
        ({"mode": "pubsub"}, None),
    ],
)
def test_beats_come_often_enough_for_lease_and_readers(options: dict[str, Any], heartbeat: float | None) -> None:
    assert sink(**options).heartbeat == heartbeat


def test_each_mode_promises_what_it_can() -> None:
    assert [sink(mode=mode).delivery for mode in ("both", "log", "pubsub")] == [
        Delivery.EXACTLY_ONCE,
        Delivery.EXACTLY_ONCE,
        Delivery.AT_MOST_ONCE,
    ]


def test_the_token_is_not_told() -> None:
    control = sink(control=True, control_token="t0ken")

    assert "t0ken" not in repr(control.options) + repr(control)
