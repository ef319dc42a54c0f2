"""What is asked of `subscribe` before anything is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from streamfan import asubscribe, subscribe
from streamfan.errors import MissingExtra
from streamfan.redis.address import Address
from streamfan.subscriber.recent import recent

if TYPE_CHECKING:
    from tests.support.scripted_hub import ScriptedHub


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(MissingExtra, match=r"pip install 'streamfan\[redis\]'"):
        subscribe("redis://localhost", "s")
    with pytest.raises(MissingExtra):
        asubscribe("redis://localhost", "s")
    with pytest.raises(MissingExtra):
        recent(Address("redis://localhost"))


def test_subscribing_alone_reads_nothing_and_starts_nothing() -> None:
    with subscribe("redis://nowhere", "s", offset=5) as subscription:
        assert (subscription.stream, subscription.attempt, subscription.offset) == ("s", 0, 5)
        assert (subscription.info, subscription.outcome) == (None, None)

    assert repr(subscription) == "<Subscription 's': 5 bytes read>"


def test_subscribing_to_new_streams_waits_for_them_at_once(hub: ScriptedHub) -> None:
    with subscribe("redis://nowhere") as subscription:
        assert repr(subscription) == "<Subscription 'of new streams': 0 bytes read>"
        assert len(hub.attending) == 1
