"""Readers of streams at all masters of a Redis Cluster, through the death of one, a takeover and a migration."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.subscriber import watch
from tests.support.followers import KINDS, Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamfan.stream import Stream
    from tests.support.redis_cluster import RedisCluster

# The first is the one that something happens to; a cluster gives it to whichever master it likes.
STREAMS = ("moving", "s", "t", "c")
KEY = "{moving}"


@pytest.fixture
def listening_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers do not look into a log of which they hear nothing: what no channel brings does not come."""
    monkeypatch.setattr(watch, "_QUIET", 3600.0)


def migrate(cluster: RedisCluster) -> None:
    cluster.migrate(KEY)


def take_over(cluster: RedisCluster) -> None:
    cluster.fail_over(KEY)


def kill(cluster: RedisCluster) -> None:
    cluster.kill_master_of(KEY)
    cluster.wait_until_ok()


@pytest.mark.usefixtures("listening_only")
@pytest.mark.parametrize("happen", [migrate, take_over, kill])
def test_text_is_heard_at_all_masters_whatever_happens_to_one(
    cluster: RedisCluster, happen: Callable[[RedisCluster], None]
) -> None:
    home = cluster.master_of(KEY)
    with ExitStack() as stack:
        fan = stack.enter_context(Fan())
        # A sign of life that ends is a reason to look.
        fan.add(RedisSink(cluster.url, RedisOptions.model_validate({"lease": 3600})), lane=LaneOptions(linger=0.0))
        streams = {id: stack.enter_context(fan.open(id)) for id in STREAMS}
        followers = [stack.enter_context(Follower(cluster.url, id, kind)) for id in STREAMS for kind in KINDS]
        written = write(streams, followers, "before", 3)

        happen(cluster)
        written += write(streams, followers, "after", 3)
        # Not before: one that joins is a reason to look.
        followers += [stack.enter_context(Follower(cluster.url, id, kind)) for id in STREAMS for kind in KINDS]
        written += write(streams, followers, "later", 3)
        for stream in streams.values():
            stream.end()

        assert len({cluster.master_of(f"{{{id}}}").port for id in STREAMS}) == 3
        assert cluster.master_of(KEY) is not home
        assert {follower.join() for follower in followers} == {written}
        assert not any(follower.errors for follower in followers)


def write(streams: Mapping[str, Stream], followers: list[Follower], when: str, count: int) -> str:
    """Write a word to each stream when the one before it was read by all; all that was written."""
    words = [f"{number} é {when} " for number in range(count)]
    for word in words:
        for stream in streams.values():
            stream.write(word)
        for follower in followers:
            follower.wait_for(word)
    return "".join(words)
