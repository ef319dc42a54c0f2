"""A real Redis Cluster for tests: three masters with a replica each, on free loopback ports.

with RedisCluster() as cluster:
    publish_something_to(cluster.url)
    cluster.kill_master_of("streamfan:{s}:log")
    cluster.wait_until_ok()
    assert cluster.client.xlen("streamfan:{s}:log") == 3
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import redis
from redis.crc import key_slot

from tests.support.redis_server import PATIENCE, RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_MASTERS = 3
_SLOTS = 16384
_CONFIGURATION = (
    "cluster-enabled yes",
    "cluster-config-file nodes.conf",
    # After this a server that is silent counts as gone, and one of its replicas takes over within about a second.
    "cluster-node-timeout 1000",
    "cluster-replica-validity-factor 0",
    "cluster-allow-replica-migration no",
    "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
)


class RedisCluster:
    """Six servers that know each other; they run from `start`, or `with`, to `stop`."""

    def __init__(self) -> None:
        self.servers = [RedisServer(*_CONFIGURATION, f"cluster-port {free_port()}") for _ in range(2 * _MASTERS)]
        self._client: Any = None

    @property
    def url(self) -> str:
        """Where the first of them listens."""
        return self.servers[0].url

    @property
    def client(self) -> Any:
        """A client of the whole that decodes; closed with it."""
        if self._client is None:
            (server, *_) = self._running
            self._client = redis.RedisCluster(host="127.0.0.1", port=server.port, decode_responses=True)
        return self._client

    @property
    def clients(self) -> list[Any]:
        """A client for each server that runs; they decode."""
        return [server.client for server in self._running]

    def start(self) -> None:
        """Start and join them; returns when all of them say that the cluster can be used."""
        for server in self.servers:
            server.start()
        masters, replicas = self.servers[:_MASTERS], self.servers[_MASTERS:]
        for number, master in enumerate(masters):
            master.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            first, last = (part * _SLOTS // _MASTERS for part in (number, number + 1))
            master.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last - 1)
        for server in self.servers[1:]:
            bus = server.client.config_get("cluster-port")["cluster-port"]
            self.servers[0].client.execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus)
        _wait_until(lambda: all(self._knows_all(server) for server in self.servers))
        for master, replica in zip(masters, replicas, strict=True):
            replica.client.execute_command("CLUSTER REPLICATE", _id_of(master))
        self.wait_until_ok()

    def stop(self) -> None:
        """Stop them and remove their files."""
        if self._client is not None:
            self._client.close()
        for server in self.servers:
            server.stop()

    def master_of(self, key: str) -> RedisServer:
        """The server that has `key`, as another one sees it."""
        port = _owner(self._running[0], key)
        return next(server for server in self.servers if server.port == port)

    def kill_master_of(self, key: str) -> RedisServer:
        """SIGKILL to the server that has `key`."""
        server = self.master_of(key)
        server.kill()
        return server

    def fail_over(self, key: str) -> None:
        """The replica of the server of `key` takes its place while it lives, and asks nobody."""
        master = self.master_of(key)
        (replica, *_) = [server for server in self._running if _master_port(server) == master.port]
        replica.client.execute_command("CLUSTER FAILOVER TAKEOVER")
        _wait_until(lambda: all(_owner(server, key) == replica.port for server in self._running))

    def migrate(self, key: str, between: Callable[[], object] = lambda: None, *, to: RedisServer | None = None) -> None:
        """Give the slot of `key` to another master; calls `between` when the keys have moved, but not yet the slot."""
        slot, source = key_slot(key.encode()), self.master_of(key)
        others = [server for server in self._running if server is not source and _master_port(server) is None]
        target = to or others[0]
        target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", _id_of(source))
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", _id_of(target))
        while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        between()
        for server in (*others, source):
            server.client.execute_command("CLUSTER SETSLOT", slot, "NODE", _id_of(target))
        _wait_until(lambda: all(_owner(server, key) == target.port for server in self._running))

    def restart(self) -> None:
        """Start those that were killed."""
        for server in self.servers:
            if not server.running:
                server.start()
        self.wait_until_ok()

    def clear(self) -> None:
        """Remove all keys, from the replicas too."""
        for port in {port for *_, port in _owners(self._running[0])}:
            client = next(server for server in self.servers if server.port == port).client
            client.flushall()
            assert client.execute_command("WAIT", 1, int(PATIENCE * 1000)) == 1

    def wait_until_ok(self) -> None:
        """Wait until those that run agree, serve all slots, and have followers that follow."""
        _wait_until(self._is_ok)

    @property
    def _running(self) -> list[RedisServer]:
        return [server for server in self.servers if server.running]

    def _is_ok(self) -> bool:
        running = self._running
        owners = _owners(running[0])
        return (
            all(_owners(server) == owners for server in running)
            and all(_state(server) == "ok" for server in running)
            and {port for *_, port in owners} <= {server.port for server in running}
            and all(_follows(server) for server in running if server.port not in {port for *_, port in owners})
        )

    def _knows_all(self, server: RedisServer) -> bool:
        nodes = server.client.execute_command("CLUSTER NODES").values()
        return len(nodes) == len(self.servers) and not any("handshake" in node["flags"] for node in nodes)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _owners(server: RedisServer) -> list[tuple[int, int, int]]:
    """First slot, last slot and port of whom has them, as `server` sees it."""
    answer = server.client.execute_command("CLUSTER SLOTS")
    return sorted((first, last, master[1]) for first, last, master, *_ in answer)


def _owner(server: RedisServer, key: str) -> int:
    slot = key_slot(key.encode())
    return next(port for first, last, port in _owners(server) if first <= slot <= last)


def _state(server: RedisServer) -> str:
    state: str = server.client.execute_command("CLUSTER INFO")["cluster_state"]
    return state


def _id_of(server: RedisServer) -> str:
    id: str = server.client.execute_command("CLUSTER MYID")
    return id


def _master_port(server: RedisServer) -> int | None:
    port: int | None = server.client.info("replication").get("master_port")
    return port


def _follows(server: RedisServer) -> bool:
    status: str = server.client.info("replication").get("master_link_status", "none yet")
    return status == "up"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(redis.RedisError):
            if condition():
                return
        assert time.monotonic() < deadline, "the cluster does not get there"
        time.sleep(0.02)
