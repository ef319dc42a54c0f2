"""Which server a key is at: the only one, or that of a cluster which has its slot now."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Retryable
from streamfan.redis.address import Address
from streamfan.redis.errors import Moved, Unreachable
from streamfan.redis.servers import Servers
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer, free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.redis.connection import Connection

# One key for each master of the cluster.
KEYS = ("{a}", "{b}", "{c}")
MOVING = "{moving}"


@pytest.fixture
def servers(cluster: RedisCluster) -> Iterator[Servers]:
    with closing(Servers(Address(cluster.url))) as servers:
        yield servers


def port_of(connection: Connection) -> int:
    config: list[bytes] = connection.command("CONFIG", "GET", "port")
    return int(config[1])


def reach(servers: Servers, key: str) -> Connection:
    """The connection that `key` has as soon as there is one."""
    found: list[Connection] = []

    def reached() -> bool:
        try:
            found.append(servers.at(key))
            found[-1].command("EXISTS", key)
        except Retryable:
            return False
        return True

    wait_until(reached)
    return found[-1]


def test_a_single_server_costs_one_connection_and_no_question(server: RedisServer) -> None:
    server.client.config_resetstat()
    with FaultProxy(server.port) as proxy, closing(Servers(Address(proxy.url))) as servers:
        for key in KEYS:
            servers.at(key).command("SET", key, "1")

        assert proxy.accepted == 1
        assert not servers.clustered
        assert servers.home("{a}") == Address(proxy.url)
        asked = server.client.info("commandstats")
        assert not [command for command in asked if command.startswith("cmdstat_cluster")]
        assert asked["cmdstat_hello"]["calls"] == 1


def test_a_single_server_that_was_lost_is_connected_to_again(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy, closing(Servers(Address(proxy.url))) as servers:
        first = servers.at("a")
        proxy.cut()
        with pytest.raises(Unreachable):
            first.command("PING")

        second = servers.at("a")

        assert second is not first
        assert second is servers.at("b")
        assert proxy.accepted == 2


def test_each_key_of_a_cluster_is_at_the_server_that_has_its_slot(cluster: RedisCluster, servers: Servers) -> None:
    ports = {key: port_of(servers.at(key)) for key in KEYS}

    assert ports == {key: cluster.master_of(key).port for key in KEYS}
    assert len(set(ports.values())) == 3
    assert servers.clustered
    assert all(servers.at(key) is servers.at(key) for key in KEYS)
    assert servers.at("{a}") is servers.at("x{a}y")


def test_nothing_of_a_cluster_is_reached_before_it_is_needed() -> None:
    servers = Servers(Address(f"redis://127.0.0.1:{free_port()}"))

    assert not servers.clustered
    with pytest.raises(Unreachable):
        servers.home("a")


def test_any_server_of_a_cluster_leads_to_the_others(cluster: RedisCluster) -> None:
    for one in cluster.servers:
        with closing(Servers(Address(one.url))) as servers:
            assert {key: port_of(servers.at(key)) for key in KEYS} == {key: cluster.master_of(key).port for key in KEYS}


def test_only_connections_to_masters_are_kept(cluster: RedisCluster) -> None:
    masters = {cluster.master_of(key).port for key in KEYS}
    replica = next(server for server in cluster.servers if server.port not in masters)
    before = replica.client.info("clients")["connected_clients"]

    with closing(Servers(Address(replica.url))) as servers:
        servers.at("{a}")

        wait_until(lambda: replica.client.info("clients")["connected_clients"] == before)


def test_a_slot_that_has_moved_is_found_again(cluster: RedisCluster, servers: Servers) -> None:
    before = servers.at(MOVING)
    others = [servers.at(key) for key in KEYS if servers.at(key) is not before]
    cluster.migrate(MOVING)

    with pytest.raises(Moved, match=f"is at 127.0.0.1:{cluster.master_of(MOVING).port} now"):
        before.command("SET", MOVING, "1")
    after = servers.at(MOVING)

    assert not before.alive
    assert port_of(after) == cluster.master_of(MOVING).port
    assert len(others) == 2
    assert all(other.alive for other in others)


def test_a_master_that_was_demoted_is_left(cluster: RedisCluster, servers: Servers) -> None:
    before = servers.at("{a}")
    cluster.fail_over("{a}")

    with pytest.raises(Moved):
        before.command("SET", "{a}", "1")

    assert port_of(servers.at("{a}")) == cluster.master_of("{a}").port


def test_the_address_that_was_given_may_be_the_one_that_died(cluster: RedisCluster) -> None:
    seed = cluster.master_of("{a}")
    with closing(Servers(Address(seed.url))) as servers:
        before = servers.at("{a}")
        other = servers.at("{b}")
        seed.kill()
        with pytest.raises(Unreachable):
            before.command("PING")

        # The others are reached at once, while nobody has taken its place yet.
        assert servers.at("{b}") is other
        after = reach(servers, "{a}")

        cluster.wait_until_ok()
        assert port_of(after) == cluster.master_of("{a}").port != seed.port
    cluster.restart()


def test_a_server_that_says_nothing_is_asked_for_the_map_after_those_that_do(cluster: RedisCluster) -> None:
    with (
        FaultProxy(cluster.master_of("{b}").port) as proxy,
        closing(Servers(Address(f"{proxy.url}?socket_timeout=0.2"))) as servers,
    ):
        servers.at("{a}")
        proxy.silence()
        for _ in range(3):
            servers.forget()
            servers.at("{a}").command("PING")

        # To be told of the others, and in vain.
        assert proxy.accepted == 2


def test_one_call_waits_for_one_silent_server(cluster: RedisCluster) -> None:
    with (
        FaultProxy(cluster.master_of("{b}").port) as proxy,
        closing(Servers(Address(f"{proxy.url}?socket_timeout=0.6"))) as servers,
    ):
        servers.at("{a}")
        proxy.silence()
        servers.forget()

        with pytest.raises(Unreachable, match="Timeout"):
            servers.at("{a}")

        servers.at("{a}").command("PING")


def test_a_server_that_was_slow_to_fail_rests(server: RedisServer) -> None:
    with (
        FaultProxy(server.port) as proxy,
        closing(Servers(Address(f"{proxy.url}?socket_timeout=0.6"))) as servers,
    ):
        proxy.silence()
        with pytest.raises(Unreachable, match="Timeout"):
            servers.at("a")

        with pytest.raises(Retryable, match="Timeout") as caught:
            servers.at("b")

        assert proxy.accepted == 1
        assert caught.value.after is not None
        assert 0 < caught.value.after <= 1.2


def test_what_is_closed_is_closed(server: RedisServer) -> None:
    servers = Servers(Address(server.url))
    connection = servers.at("a")

    servers.close()

    assert not connection.alive
