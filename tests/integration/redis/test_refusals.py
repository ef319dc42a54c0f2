"""What is wrong with a server, and whether another try may help."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent, Retryable
from tests.support.deliveries import chunks, deliver
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import injects
from tests.support.redis_server import RedisServer, free_port
from tests.support.redis_sinks import text_of
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from tests.support.redis_sinks import Make


def test_a_database_that_does_not_exist_is_permanent(server: RedisServer, make: Make) -> None:
    with pytest.raises(Permanent, match="DB index is out of range"):
        make(server.url.replace("/0", "/99"))


def test_a_user_who_may_not_write_is_told_when_connecting(server: RedisServer, make: Make) -> None:
    rights = ["+@read", "+@connection", "+@transaction"]
    server.client.acl_setuser("reader", enabled=True, nopass=True, categories=rights, keys=["*"])

    with pytest.raises(Permanent, match="permissions to run the 'xadd' command"):
        make(server.url.replace("//", "//reader:x@"))


@pytest.mark.parametrize(
    "command",
    [
        *("xadd", "xrange", "xrevrange", "xtrim", "set", "get", "del", "pexpire", "zadd", "zremrangebyrank", "wait"),
        *("multi", "exec"),
    ],
)
def test_a_user_who_lacks_one_right_is_told_when_connecting(command: str, server: RedisServer, make: Make) -> None:
    server.client.acl_setuser(
        "lame", enabled=True, nopass=True, categories=["+@all"], commands=[f"-{command}"], keys=["*"], channels=["*"]
    )

    with pytest.raises(Permanent, match=f"no permissions to run the '{command}' command"):
        make(server.url.replace("//", "//lame:x@"), history_bytes="1MiB", wait_replicas=1)


@pytest.mark.parametrize("key", ["{*}:log", "{*}:attempt", "{*}:lease", "{*}:cancel", "streams"])
def test_a_user_who_lacks_one_key_is_told_when_connecting(key: str, server: RedisServer, make: Make) -> None:
    every = {"{*}:log", "{*}:attempt", "{*}:lease", "{*}:cancel", "streams"}
    keys = [f"streamfan:{other}" for other in every - {key}]
    server.client.acl_setuser(
        "lame", enabled=True, nopass=True, categories=["+@all"], keys=keys, channels=["*"], reset_keys=True
    )

    with pytest.raises(Permanent, match="no permissions to access one of the keys"):
        make(server.url.replace("//", "//lame:x@"))


def test_connecting_stores_nothing_and_takes_nothing_away(server: RedisServer, make: Make) -> None:
    server.client.zadd("streamfan:streams", {f"s{number}": number for number in range(3)})

    make(history_bytes="1MiB")

    assert server.client.keys() == ["streamfan:streams"]
    assert server.client.zcard("streamfan:streams") == 3


def test_a_user_who_may_not_run_scripts_can_write(server: RedisServer, make: Make) -> None:
    server.client.acl_setuser(
        "writer", enabled=True, nopass=True, categories=["+@all", "-@scripting"], keys=["*"], channels=["*"]
    )

    deliver(make(server.url.replace("//", "//writer:x@")), "Hello")

    assert text_of(server.client) == "Hello"


@pytest.mark.parametrize(
    ("allowed", "refused"), [([], "streamfan:{-}:live"), (["streamfan:{*}:live"], "streamfan:streams")]
)
def test_a_user_without_channels_is_told_when_connecting_and_can_still_keep_logs(
    allowed: list[str], refused: str, server: RedisServer, make: Make
) -> None:
    server.client.acl_setuser(
        "keeper", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=allowed, reset_channels=True
    )
    url = server.url.replace("//", "//keeper:x@")

    with pytest.raises(
        Permanent, match=rf"may not publish on channel '{re.escape(refused)}'\nTry: ACL SETUSER NAME &streamfan:"
    ):
        make(url)
    deliver(make(url, mode="log"), "Hello")

    assert text_of(server.client) == "Hello"


def test_a_user_with_the_channels_of_the_prefix_can_do_all(server: RedisServer, make: Make) -> None:
    server.client.acl_setuser(
        "app", enabled=True, nopass=True, categories=["+@all"], keys=["app:*"], channels=["app:*"]
    )

    deliver(make(server.url.replace("//", "//app:x@"), prefix="app", control=True), "Hello")

    assert server.client.xlen("app:{s}:log") == 3


@pytest.mark.guarantee("redis", "disk full")
def test_text_that_a_full_server_refused_is_there_once_it_has_room(server: RedisServer, make: Make) -> None:
    sink, stream = make(), info()
    sink.open(stream)
    injects(server.client.config_set)("maxmemory", 1)
    try:
        with pytest.raises(Retryable, match="command not allowed when used memory > 'maxmemory'"):
            sink.write(chunks(stream, "Hello")[0])
    finally:
        server.client.config_set("maxmemory", 0)

    sink.write(chunks(stream, "Hello")[0])

    assert text_of(server.client) == "Hello"


def test_a_replica_may_pass(make: Make) -> None:
    with RedisServer(f"replicaof 127.0.0.1 {free_port()}") as replica, pytest.raises(Retryable, match="read only"):
        make(replica.url)


def test_a_cluster_node_without_slots_may_pass(make: Make) -> None:
    with (
        RedisServer("cluster-enabled yes", f"cluster-port {free_port()}") as node,
        pytest.raises(Retryable, match="no server of the cluster has slot"),
    ):
        make(node.url)


@pytest.mark.guarantee("redis", "wrong answer")
def test_what_speaks_another_protocol_is_refused_when_connecting(greeter: str, make: Make) -> None:
    with pytest.raises(Permanent, match=r"Protocol [Ee]rror"):
        make(greeter)


def test_a_server_that_says_nothing_is_asked_once_for_all_streams(make: Make, server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        sink = make(f"{proxy.url}?socket_timeout=0.6")
        sink.open(info())
        proxy.silence()
        with pytest.raises(Retryable, match="Timeout"):
            sink.open(info())
        with pytest.raises(Retryable, match="Timeout"):
            sink.open(info())
        tried = proxy.accepted

        with pytest.raises(Retryable, match="Timeout") as caught:
            sink.open(info())

        assert proxy.accepted == tried
        assert caught.value.after is not None
        assert 0 < caught.value.after < 5


LEASE = "streamfan:{s}:lease"


def test_producer_lives_while_a_full_server_refuses_its_text(server: RedisServer, make: Make) -> None:
    sink, stream = make(), info()
    sink.open(stream)
    server.client.pexpire(LEASE, 5000)
    server.client.config_set("maxmemory", 1)
    try:
        with suppress(Retryable):
            sink.beat(stream)
        wait_until(lambda: server.client.pttl(LEASE) > 10_000)
    finally:
        server.client.config_set("maxmemory", 0)
