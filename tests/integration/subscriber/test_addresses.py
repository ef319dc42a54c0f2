"""The ways that lead to a server, and those who stand in them."""

from __future__ import annotations

import logging
import re
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis.connection

from streamfan import asubscribe, subscribe
from streamfan.errors import ConfigError, ServerRefused, ServerUnreachable, WireError
from tests.support.producer import Background
from tests.support.redis_server import PATIENCE, RedisServer, free_port
from tests.support.redis_sinks import QUOTED, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.producer import Produce

ROOT = Path(__file__).parents[3]


@pytest.fixture
def guarded() -> Iterator[RedisServer]:
    """A server with a password; `reader` may read and listen, `deaf` only read, `blind` only listen."""
    users = (
        f"user reader on >{SECRET} ~* &* -@all +@read +@connection +@pubsub",
        f"user deaf on >{SECRET} ~* resetchannels -@all +@read +@connection +@pubsub",
        f"user blind on >{SECRET} ~other:* &* -@all +@read +@connection +@pubsub",
    )
    with RedisServer(f'user default on ">{SECRET}" ~* &* +@all', *map(_quoted, users)) as server:
        yield server


def _quoted(line: str) -> str:
    return line.replace(f">{SECRET}", f'">{SECRET}"')


def url_of(server: RedisServer, user: str = "") -> str:
    return server.url.replace("//", f"//{user}:{QUOTED}@")


# Ways that lead there


def test_a_password_lets_in(guarded: RedisServer, produce: Produce) -> None:
    produce(url_of(guarded)).write("Hello")

    assert next(subscribe(url_of(guarded), "s")) == "Hello"


def test_a_user_who_may_only_read_and_listen_is_enough(guarded: RedisServer, produce: Produce) -> None:
    producer = produce(url_of(guarded))
    producer.write("Once ")
    subscription = subscribe(url_of(guarded, "reader"), "s")

    read = [next(subscription)]
    producer.write("upon")
    read.append(next(subscription))
    producer.end()

    assert [*read, *subscription] == ["Once ", "upon"]


def test_a_unix_socket_is_a_way(produce: Produce) -> None:
    with RedisServer("unixsocket {folder}/socket") as server:
        url = f"unix://{server.folder}/socket?db=1"
        produce(url).write("Hello")

        with subscribe(url, "s") as subscription:
            assert next(subscription) == "Hello"


def test_tls_is_a_way_for_whom_its_certificate_convinces(tls: tuple[RedisServer, str], produce: Produce) -> None:
    server, url = tls
    produce(server.url).write("Hello")

    with subscribe(url, "s") as subscription:
        assert next(subscription) == "Hello"
    with pytest.raises(ServerRefused, match="certificate verify failed"):
        next(subscribe(url.partition("?")[0], "s"))


# Those who stand in them


def test_a_url_that_is_none_is_refused_at_the_call() -> None:
    with pytest.raises(ConfigError, match="begins with none of redis://"):
        subscribe("localhost:6379", "s")


def test_what_cannot_be_sent_is_refused_and_not_repeated(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis.connection.Connection, "pack_commands", lambda *_: "s3cr3t\udcff".encode())

    with pytest.raises(ServerRefused, match="what was to be sent is no UTF-8") as caught:
        next(subscribe(server.url, "s", wait=60))

    assert "s3cr3t" not in f"{caught.value!r} {caplog.text}"


def test_an_option_of_the_url_that_nobody_knows_is_told(server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="'frobnicate'"):
        next(subscribe(f"{server.url}?frobnicate=1", "s"))


@pytest.mark.parametrize("stream", ["s", None])
def test_where_nobody_listens_is_told_at_once(stream: str | None) -> None:
    url = f"redis://localhost:{free_port()}/0"

    with pytest.raises(ServerUnreachable, match=rf"^Redis at {url}: .*refused"):
        next(subscribe(url, stream))


async def test_where_nobody_listens_is_told_in_a_loop_too() -> None:
    with pytest.raises(ServerUnreachable):
        await anext(asubscribe(f"redis://localhost:{free_port()}/0", "s"))


def test_a_server_that_is_not_there_yet_is_waited_for(produce: Produce) -> None:
    server = RedisServer()
    with subscribe(server.url, "s", wait=20) as subscription:
        reading = Background(lambda: next(subscription))
        with pytest.raises(ServerUnreachable):
            next(subscribe(server.url, "s"))

        with server:
            produce(server.url).write("Hello")

            assert reading.result() == "Hello"


@pytest.mark.parametrize(
    ("userinfo", "said"),
    [("", "Authentication required"), (":wrong@", "invalid username-password pair"), (":wrong%40@", "invalid user")],
)
def test_a_wrong_password_is_refused_at_once(userinfo: str, said: str, guarded: RedisServer) -> None:
    url = guarded.url.replace("//", f"//{userinfo}")

    with pytest.raises(ServerRefused, match=said) as caught:
        next(subscribe(url, "s", wait=60))

    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("user", ["deaf", "blind"])
@pytest.mark.parametrize("stream", ["s", None])
def test_a_user_who_may_not_is_refused(user: str, stream: str | None, guarded: RedisServer) -> None:
    with pytest.raises(ServerRefused, match=r"(?i)permission"):
        next(subscribe(url_of(guarded, user), stream, wait=60))


def test_a_channel_that_is_denied_ends_only_those_who_read_that_stream(server: RedisServer, produce: Produce) -> None:
    channels = ["streamfan:{mine}:live"]
    server.client.acl_setuser("half", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=channels)
    url = server.url.replace("//", "//half:x@")
    producer = produce(server.url, "mine")
    producer.write("Once ")
    produce(server.url, "theirs").write("text")
    with subscribe(url, "mine") as mine:
        read = [next(mine)]

        for stream, channel in (("theirs", "streamfan:{theirs}:live"), (None, "streamfan:streams")):
            for _ in range(2):
                with pytest.raises(ServerRefused, match=rf"(?i)permission.*: '{channel}'"):
                    next(subscribe(url, stream, wait=60))
        producer.write("upon")

        assert [*read, next(mine)] == ["Once ", "upon"]


# A process of its own: whatever else is read in this one opens and closes files as well.
_CRAMPED = """
import sys
import redis
from streamfan import subscribe
from streamfan.errors import ServerUnreachable
from tests.support.limits import free_descriptors

# The first time redis-py looks for where it is installed, and does not mind if it cannot.
redis.Connection()
subscription = subscribe(sys.argv[1], "s")
try:
    with free_descriptors(int(sys.argv[2])):
        next(subscription)
except ServerUnreachable as error:
    print(error)
print(next(subscription))
"""


@pytest.mark.parametrize("free", range(3))
def test_too_many_open_files_are_told_as_such_and_another_try_helps(
    free: int, server: RedisServer, produce: Produce
) -> None:
    produce(server.url).write("Hello")

    command = [sys.executable, "-c", _CRAMPED, server.url, str(free)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=PATIENCE)

    assert re.fullmatch(rf"Redis at {server.url}: .*Too many open files.*\nHello\n", done.stdout), done


def test_a_key_that_is_something_else_is_told(server: RedisServer, produce: Produce) -> None:
    server.client.set("streamfan:{s}:log", "text")
    other = produce(server.url, "other")
    other.write("Hello")
    reading = subscribe(server.url, "other")
    first = next(reading)

    with pytest.raises(WireError, match=r"stream 's': one of its keys is something else: .*WRONGTYPE"):
        next(subscribe(server.url, "s"))
    other.write(", world")

    assert (first, next(reading)) == ("Hello", ", world")


def test_what_is_no_redis_is_told() -> None:
    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            while self.request.recv(4096):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as greeter:
        thread = threading.Thread(target=greeter.serve_forever)
        thread.start()

        with pytest.raises(ServerRefused):
            next(subscribe(f"redis://127.0.0.1:{greeter.server_address[1]}/0", "s", wait=60))

        greeter.shutdown()
        thread.join()


def test_no_password_is_told(guarded: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    subscription = subscribe(url_of(guarded, "nobody"), "s")

    with pytest.raises(ServerRefused) as caught:
        next(subscription)

    told = [str(caught.value), repr(caught.value), repr(subscription), caplog.text]
    assert not any(re.search("s3cr3t", text) for text in told)
    assert "redis://***@127.0.0.1" in str(caught.value)
