"""What is in Redis afterwards, as another program sees it: on a real server, on an old one, and on an emulation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.events import StreamInfo
from streamfan.redis.lease import Lease
from streamfan.sinks.redis import RedisSink
from streamfan.sinks.redis import index as sink_index
from tests.support.deliveries import chunks, deliver, ending
from tests.support.redis_sinks import log_of, text_of
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_server import RedisServer
    from tests.support.redis_sinks import Make

pytestmark = pytest.mark.usefixtures("parser")

TIME = datetime(2026, 11, 20, 17, 23, 31, 42_000, tzinfo=UTC)
STREAM = StreamInfo(id="s", attempt=1795195411042, writer="9f2c", time=TIME, model="demo", meta={"user": "é"})


@pytest.fixture
def sink(url: str, client: Any) -> Iterator[RedisSink]:
    sink = RedisSink(url)
    sink.connect()
    yield sink
    sink.disconnect()


def test_the_log_holds_each_event_under_the_id_its_offset_gives_it(sink: RedisSink, client: Any) -> None:
    deliver(sink, "Hé", "llo", stream=STREAM)

    (start_id, start), (first_id, first), (second_id, second), (end_id, end) = log_of(client)

    assert [start_id, first_id, second_id, end_id] == [f"1795195411042-{part}" for part in (0, 3, 6, 7)]
    assert start == {
        "v": 1,
        "type": "start",
        "stream": "s",
        "attempt": 1795195411042,
        "writer": "9f2c",
        "time": "2026-11-20T17:23:31.042000Z",
        "model": "demo",
        "row": 0,
        "meta": {"user": "é"},
    }
    del first["time"]
    assert first == {
        "v": 1,
        "type": "text",
        "stream": "s",
        "attempt": 1795195411042,
        "offset": 0,
        "end": 3,
        "text": "Hé",
        "token_ids": [],
    }
    assert (second["offset"], second["end"], second["text"]) == (3, 6, "llo")
    assert (end["type"], end["offset"], end["complete"]) == ("end", 6, True)
    assert end["sha256"] == "e55e74942644bbaa62a416dfbb15e22e466667011e0bea0be15207b4decb65e5"


def test_each_event_is_published_as_it_stands_in_the_log(sink: RedisSink, client: Any) -> None:
    with client.pubsub() as subscriber:
        subscriber.subscribe("streamfan:{s}:live")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"

        deliver(sink, "Hé", "llo", stream=STREAM)
        published = [subscriber.get_message(timeout=5)["data"] for _ in range(4)]

    assert published == [fields["event"] for _, fields in client.xrange("streamfan:{s}:log")]


def test_a_stream_without_text_has_a_start_and_an_end(sink: RedisSink, client: Any) -> None:
    deliver(sink, stream=STREAM)

    assert [id for id, _ in log_of(client)] == ["1795195411042-0", "1795195411042-1"]


def test_nothing_else_is_stored(sink: RedisSink, client: Any) -> None:
    deliver(sink, "Hello", stream=STREAM)

    assert set(client.keys()) == {"streamfan:{s}:log", "streamfan:{s}:attempt", "streamfan:streams"}
    assert client.xrange("streamfan:{s}:attempt") == [("1795195411042-0", {"writer": "9f2c", "lease": "20"})]
    assert client.zrange("streamfan:streams", 0, -1) == ["s"]


def test_opening_again_goes_on_where_the_log_ends(sink: RedisSink, client: Any) -> None:
    first, second = chunks(STREAM, "Hé", "llo")
    fresh = sink.open(STREAM)
    opened = sink.open(STREAM)
    sink.write(first)

    held = sink.open(STREAM)
    sink.write(second)

    assert (fresh, opened, held) == (0, 0, 3)
    assert text_of(client) == "Héllo"


def test_what_another_sink_has_brought_is_taken_and_not_stored_again(make: Make, client: Any, url: str) -> None:
    deliver(make(url), "Hé", "llo", stream=STREAM)
    before = log_of(client)
    sink = make(url)

    # Not 5: this sink has sent nothing, and a lane goes on only from what it has sent.
    held = sink.open(STREAM)
    for chunk in chunks(STREAM, "Hé", "llo"):
        sink.write(chunk)
    sink.close(STREAM, ending(STREAM, "Héllo"))

    assert held == 0
    assert log_of(client) == before


def test_a_later_attempt_begins_at_zero_behind_the_older_one(sink: RedisSink, client: Any) -> None:
    older, later = info("s"), info("s")
    deliver(sink, "first try", stream=older)

    held = sink.open(later)
    deliver(sink, "second", stream=later)

    assert held == 0
    assert [id for id, _ in log_of(client)] == [
        *(f"{older.attempt}-{part}" for part in (0, 9, 10)),
        *(f"{later.attempt}-{part}" for part in (0, 6, 7)),
    ]


def test_a_log_that_nobody_ends_expires_too(sink: RedisSink, client: Any) -> None:
    sink.open(STREAM)

    assert 24 * 3_600_000 < client.pttl("streamfan:{s}:log") <= 24 * 3_600_000 + 20_000


def test_the_lease_lasts_from_open_to_close(sink: RedisSink, client: Any) -> None:
    sink.open(STREAM)
    held, left = client.get("streamfan:{s}:lease"), client.pttl("streamfan:{s}:lease")
    sink.close(STREAM, ending(STREAM))

    assert Lease.decode(held) == Lease(attempt=1795195411042, writer="9f2c", seconds=20.0, control="off", live=True)
    assert 15_000 < left <= 20_000
    assert not client.exists("streamfan:{s}:lease")


def test_a_beat_renews_the_lease_and_keeps_the_log(sink: RedisSink, client: Any) -> None:
    keys = ("streamfan:{s}:lease", "streamfan:{s}:log", "streamfan:{s}:attempt")
    sink.open(STREAM)
    for key in keys:
        client.pexpire(key, 5_000)

    sink.beat(STREAM)

    lease, log, attempt = map(client.pttl, keys)
    assert 15_000 < lease <= 20_000
    assert 24 * 3_600_000 < log < attempt


def test_the_log_expires_after_its_end_and_the_attempt_later(make: Make, client: Any, url: str) -> None:
    deliver(make(url, ttl="2m"), "Hello", stream=STREAM)

    assert 110_000 < client.pttl("streamfan:{s}:log") <= 120_000
    assert client.pttl("streamfan:{s}:attempt") > 24 * 3_600_000


def test_token_ids_can_be_left_out(make: Make, client: Any, url: str) -> None:
    chunk, *_ = chunks(STREAM, "Hello", token_ids=[15496])
    for options in ({}, {"token_ids": False}):
        sink = make(url, prefix=f"p{len(options)}", **options)
        sink.open(STREAM)
        sink.write(chunk)
        sink.close(STREAM, ending(STREAM, "Hello", token_ids=[2]))

    with_ids, without = (client.xrange(f"p{number}:{{s}}:log") for number in (0, 1))
    assert ['"token_ids":[15496]' in fields["event"] for _, fields in with_ids] == [False, True, False]
    assert ['"token_ids":[2]' in fields["event"] for _, fields in with_ids] == [False, False, True]
    assert ['"token_ids":[]' in fields["event"] for _, fields in without] == [False, True, True]


def test_the_history_is_bounded_and_the_end_stays(make: Make, client: Any, url: str) -> None:
    deliver(make(url, history=100), *["x"] * 500, stream=STREAM)

    entries = log_of(client)
    assert 100 <= len(entries) <= 300
    assert entries[-1][0] == "1795195411042-501"


def test_the_index_lists_streams_by_time_and_forgets_the_oldest(sink: RedisSink, client: Any) -> None:
    client.zadd("streamfan:streams", {f"old{number}": number for number in range(1000)})

    sink.open(STREAM)
    opened = client.zscore("streamfan:streams", "s")
    sink.close(STREAM, replace(ending(STREAM), time=TIME + timedelta(seconds=2)))

    assert opened == TIME.timestamp() * 1000
    assert client.zscore("streamfan:streams", "s") == opened + 2000
    assert client.zcard("streamfan:streams") == 1000
    assert client.zscore("streamfan:streams", "old0") is None


def test_a_stream_that_goes_on_comes_back_into_the_index(
    sink: RedisSink, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, over = info("going-on"), info("over")
    sink.open(over)
    sink.close(over, ending(over))
    sink.open(going_on)
    client.delete("streamfan:streams")
    client.zadd("streamfan:streams", {f"other{number}": number for number in range(1000)})
    monkeypatch.setattr(sink_index, "monotonic", lambda: monotonic() + 60)

    sink.beat(going_on)
    listed = client.zrange("streamfan:streams", 0, -1)

    assert listed == [*(f"other{number}" for number in range(1, 1000)), "going-on"]


def test_the_text_is_bounded_by_bytes_and_the_end_stays(make: Make, client: Any, url: str) -> None:
    text = "x" * 100
    deliver(make(url, history_bytes="16KiB"), *[text] * 1000, stream=STREAM)

    entries = log_of(client)
    kept = sum(len(event.get("text", "")) for _, event in entries)
    # Redis forgets whole nodes, of 100 entries at most, and the sink lets a log grow a little before it cuts it.
    assert 16 * 1024 <= kept <= 16 * 1024 + 2 * 1024 + 100 * len(text)
    assert [event["type"] for _, event in entries[-2:]] == ["text", "end"]


def test_a_log_is_cut_only_now_and_then(make: Make, server: RedisServer) -> None:
    sink = make(history_bytes="8KiB")
    server.client.config_resetstat()

    deliver(sink, *["x" * 100] * 1000)

    assert 80 < server.client.info("commandstats")["cmdstat_xtrim"]["calls"] < 100


def test_a_new_stream_is_announced_once_the_index_has_it(sink: RedisSink, client: Any) -> None:
    with client.pubsub() as subscriber:
        subscriber.subscribe("streamfan:streams")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"

        sink.open(STREAM)
        listed = client.zrange("streamfan:streams", 0, -1)
        sink.close(STREAM, ending(STREAM))
        client.publish("streamfan:streams", "the next message")

        assert [subscriber.get_message(timeout=5)["data"] for _ in range(2)] == [
            f"s {STREAM.attempt}",
            "the next message",
        ]
        assert listed == ["s"]


def test_in_mode_log_nothing_is_published(make: Make, client: Any, url: str) -> None:
    with client.pubsub() as subscriber:
        subscriber.psubscribe("streamfan*")
        assert subscriber.get_message(timeout=5)["type"] == "psubscribe"
        sink = make(url, mode="log")

        sink.open(STREAM)
        held = client.get("streamfan:{s}:lease")
        for chunk in chunks(STREAM, "Hé", "llo"):
            sink.write(chunk)
        sink.close(STREAM, ending(STREAM, "Héllo"))
        client.publish("streamfan", "the next message")

        assert subscriber.get_message(timeout=5)["data"] == "the next message"
        assert text_of(client) == "Héllo"
        assert not Lease.decode(held).live
        assert client.zrange("streamfan:streams", 0, -1) == ["s"]
