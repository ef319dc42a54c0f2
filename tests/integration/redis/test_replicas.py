"""Replicas: what waits for them, and what a failover takes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import ProducerLost, Retryable
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.subscriber import subscribe
from tests.support.deliveries import deliver, ending
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.events import StreamInfo
    from tests.support.redis_sinks import Make


@pytest.fixture(scope="module")
def master() -> Iterator[RedisServer]:
    with RedisServer("repl-diskless-sync-delay 0") as master:
        yield master


@pytest.fixture
def replica(master: RedisServer) -> Iterator[RedisServer]:
    master.client.flushall()
    with RedisServer(f"replicaof 127.0.0.1 {master.port}") as replica:
        wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
        yield replica
        replica.thaw()


def closes(sink: RedisSink, stream: StreamInfo) -> bool:
    try:
        sink.close(stream, ending(stream))
    except Retryable:
        return False
    return True


def test_a_stream_is_delivered_once_its_end_is_replicated(
    master: RedisServer, replica: RedisServer, make: Make
) -> None:
    deliver(make(master.url, wait_replicas=1), "Hello")

    assert log_of(replica.client)[-1][1]["type"] == "end"
    assert not replica.client.exists("streamfan:{s}:lease")


def test_replicas_that_are_not_there_are_missed_by_number(server: RedisServer, make: Make) -> None:
    sink, stream = make(wait_replicas=2, wait_timeout="200ms"), info()
    sink.open(stream)

    with pytest.raises(Retryable, match=r"0 of 2 replicas have the end of the stream$"):
        sink.close(stream, ending(stream))


def test_an_end_that_is_there_already_is_waited_for_too(master: RedisServer, replica: RedisServer, make: Make) -> None:
    stream = info()
    make(master.url).open(stream)
    replica.freeze()
    # The second has another connection than that over which the end was written.
    for _ in range(2):
        sink = make(master.url, wait_replicas=1, wait_timeout="200ms")
        sink.open(stream)
        with pytest.raises(Retryable, match="0 of 1 replicas"):
            sink.close(stream, ending(stream))

    replica.thaw()
    wait_until(lambda: closes(sink, stream))

    assert [event["type"] for _, event in log_of(replica.client)] == ["start", "end"]


def test_only_one_stream_waits_in_vain_for_all(server: RedisServer, make: Make) -> None:
    sink, streams = make(wait_replicas=1, wait_timeout="1s"), [info(f"s{number}") for number in range(50)]
    for stream in streams:
        sink.open(stream)

    begun = monotonic()
    for stream in streams:
        with pytest.raises(Retryable):
            sink.close(stream, ending(stream))

    # Fifty seconds if each of them waited; the leases of those that still run would have lapsed.
    assert monotonic() - begun < 10


def test_what_a_fan_has_not_replicated_is_in_its_report(server: RedisServer) -> None:
    options = RedisOptions.model_validate({"wait_replicas": 1, "wait_timeout": "50ms"})
    with Fan() as fan:
        fan.add(RedisSink(server.url, options), lane=LaneOptions(max_elapsed=0.3))
        with fan.open("s") as stream:
            stream.write("Hello")

    report = fan.report.sinks[0]
    assert report.complete == 0
    assert report.error is not None
    assert "0 of 1 replicas have the end of the stream" in report.error
    assert log_of(server.client)[-1][1]["complete"] is True


@dataclass(frozen=True)
class Pair:
    """A master and its replica, with a proxy between them, and one before whichever is the master."""

    master: RedisServer
    replica: RedisServer
    replication: FaultProxy
    proxy: FaultProxy

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Pair]:
        with (
            RedisServer("repl-diskless-sync-delay 0") as master,
            FaultProxy(master.port) as replication,
            RedisServer(f"replicaof 127.0.0.1 {replication.port}") as replica,
            FaultProxy(master.port) as proxy,
        ):
            wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
            yield cls(master, replica, replication, proxy)

    def fail_over(self) -> None:
        self.master.kill()
        self.replica.client.replicaof("no", "one")
        self.proxy.lead_to(self.replica.port)


def test_a_stream_that_runs_survives_a_failover_that_takes_what_was_acknowledged() -> None:
    with Pair.running() as pair:
        with Fan(RedisSink(pair.proxy.url)) as fan, fan.open("s") as stream:
            stream.write("Once ")
            wait_until(lambda: text_of(pair.replica.client) == "Once ")
            pair.replication.silence()
            stream.write("upon ")
            wait_until(lambda: text_of(pair.master.client) == "Once upon ")
            pair.fail_over()
            taken = text_of(pair.replica.client)
            stream.write("a time")

        assert taken == "Once "
        assert fan.report.sinks[0].complete == 1
        assert text_of(pair.replica.client) == "Once upon a time"
        assert log_of(pair.replica.client)[-1][1]["complete"] is True


def test_an_end_that_a_failover_has_taken_is_missed_by_readers() -> None:
    with Pair.running() as pair:
        fan = Fan()
        fan.add(pair.proxy.url, lease="5s")
        with fan.open("s") as stream:
            stream.write("Once ")
            wait_until(lambda: text_of(pair.replica.client) == "Once ")
            pair.replication.silence()
            stream.write("upon a time")
        fan.close()
        # Nothing was said of replicas, so all is well for the producer; and then the master is gone for good.
        delivered = fan.report.sinks[0].complete
        pair.fail_over()
        got: list[str] = []

        with pytest.raises(ProducerLost, match="has no end after 5 bytes"):
            got.extend(subscribe(pair.proxy.url, "s"))

    assert (delivered, got) == (1, ["Once "])
