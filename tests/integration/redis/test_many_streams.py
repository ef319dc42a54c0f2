"""What many streams cost one sink: round trips, which are what is slow where the server is far away."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import Permanent
from streamfan.redis.connection import Connection
from tests.support.deliveries import chunks, ending
from tests.support.redis_clock import Clock
from tests.support.redis_sinks import log_of
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import StreamInfo
    from streamfan.sinks.redis import RedisSink
    from tests.support.redis_cluster import RedisCluster
    from tests.support.redis_server import RedisServer
    from tests.support.redis_sinks import Make

COUNT = 50
BEAT = 2.0
"""Seconds between two beats of a stream, with the default lease."""

RoundTrips = Counter[str]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    """How often each server was waited for."""
    waits: RoundTrips = Counter()
    exchange = Connection._exchange

    def counted(connection: Connection, commands: Any) -> Any:
        waits[str(connection.address)] += 1
        return exchange(connection, commands)

    monkeypatch.setattr(Connection, "_exchange", counted)
    return waits


def opened(sink: RedisSink, count: int = COUNT) -> list[StreamInfo]:
    streams = [info(f"s{number}") for number in range(count)]
    for stream in streams:
        sink.open(stream)
    return streams


def shorten(client: Any, *streams: StreamInfo) -> None:
    """Their leases are about to run out."""
    for stream in streams:
        assert client.pexpire(f"streamfan:{{{stream.id}}}:lease", 10_000)


def renewed(client: Any, *streams: StreamInfo) -> list[bool]:
    """Of which of these the lease was renewed since it was shortened."""
    return [client.pttl(f"streamfan:{{{stream.id}}}:lease") > 10_000 for stream in streams]


@pytest.mark.parametrize("control", [False, True])
def test_the_beats_of_all_streams_take_two_round_trips(
    control: bool, server: RedisServer, make: Make, clock: Clock, round_trips: RoundTrips
) -> None:
    sink = make(control=control)
    streams = opened(sink)
    for _ in range(3):
        clock.advance(BEAT)
        shorten(server.client, *streams)
        round_trips.clear()

        for stream in streams:
            sink.beat(stream)

        assert round_trips.total() == 2
        assert all(renewed(server.client, *streams))


def test_the_beats_of_all_streams_take_two_round_trips_to_each_server_of_a_cluster(
    cluster: RedisCluster, make: Make, clock: Clock, round_trips: RoundTrips
) -> None:
    sink = make(cluster.url)
    streams = opened(sink)
    clock.advance(BEAT)
    shorten(cluster.client, *streams)
    round_trips.clear()

    for stream in streams:
        sink.beat(stream)

    assert sorted(round_trips.values()) == [2, 2, 2]
    assert all(renewed(cluster.client, *streams))


def test_opening_a_stream_takes_two_round_trips(make: Make, clock: Clock, round_trips: RoundTrips) -> None:
    sink = make()
    opened(sink, 1)
    round_trips.clear()

    streams = opened(sink, COUNT)[1:]
    assert round_trips.total() == 2 * COUNT
    for stream in streams:
        sink.open(stream)
    assert round_trips.total() == 4 * COUNT - 2


def test_closing_a_stream_takes_two_round_trips(make: Make, clock: Clock, round_trips: RoundTrips) -> None:
    sink = make()
    streams = opened(sink)
    round_trips.clear()

    for stream in streams:
        sink.close(stream, ending(stream))

    assert round_trips.total() == 2 * COUNT


def test_leases_are_renewed_while_a_lane_opens_writes_and_closes_other_streams(
    server: RedisServer, make: Make, clock: Clock
) -> None:
    sink = make()
    patient, busy = opened(sink, 2)
    calls: list[Callable[[], object]] = [
        partial(sink.open, info("other")),
        partial(sink.write, chunks(busy, "text")[0]),
        partial(sink.close, busy, ending(busy, "text")),
    ]
    for call in calls:
        clock.advance(BEAT)
        shorten(server.client, patient)

        call()

        assert renewed(server.client, patient) == [True]


def test_a_stream_that_was_taken_over_is_told_at_its_own_beat_and_the_others_live(
    server: RedisServer, make: Make, clock: Clock
) -> None:
    sink = make()
    first, second, third = opened(sink, 3)
    later = info(second.id)
    make().open(later)
    clock.advance(BEAT)
    shorten(server.client, first, second, third)

    sink.beat(first)
    with pytest.raises(Permanent, match="has taken over"):
        sink.beat(second)
    sink.beat(third)

    assert renewed(server.client, first, second, third) == [True, False, True]


def test_a_stream_that_was_taken_over_is_not_shown_again_by_the_others_when_the_server_has_forgotten_by_whom(
    server: RedisServer, make: Make, clock: Clock
) -> None:
    sink = make()
    older, other = opened(sink, 2)
    make().open(info(older.id))
    with pytest.raises(Permanent):
        sink.write(chunks(older, "late")[0])
    server.client.flushall()
    clock.advance(BEAT)

    sink.beat(other)

    assert server.client.keys("*:lease") == ["streamfan:{s1}:lease"]


def test_a_text_counts_as_a_beat_for_requests(server: RedisServer, make: Make, clock: Clock) -> None:
    sink = make(control=True, lease=60)
    talking, quiet = opened(sink, 2)
    clock.advance(0.9)
    sink.write(chunks(talking, "text")[0])
    clock.advance(0.1)
    server.client.config_resetstat()

    for stream in (quiet, talking):
        sink.beat(stream)

    assert server.client.info("commandstats")["cmdstat_get"]["calls"] == 1


def test_a_stream_that_nobody_speaks_of_any_more_is_not_kept_alive_by_the_others(
    server: RedisServer, make: Make, clock: Clock
) -> None:
    sink = make()
    given_up, other = opened(sink, 2)
    for _ in range(20):
        clock.advance(BEAT)
        shorten(server.client, given_up, other)
        sink.beat(other)

    assert renewed(server.client, given_up, other) == [False, True]


def test_the_lease_does_not_come_back_after_the_end(server: RedisServer, make: Make, clock: Clock) -> None:
    sink, stream = make(wait_replicas=1, wait_timeout="10ms"), info()
    other = opened(sink, 1)[0]
    sink.open(stream)

    for _ in range(2):
        with pytest.raises(Exception, match="0 of 1 replicas"):
            sink.close(stream, ending(stream))
        clock.advance(BEAT)
        sink.beat(stream)
        sink.beat(other)
        sink.open(stream)

    assert [event["type"] for _, event in log_of(server.client)] == ["start", "end"]
    assert not server.client.exists("streamfan:{s}:lease")
