"""Which server it is, what is wrong with it, and that no password is told."""

from __future__ import annotations

import logging
import socketserver
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from streamfan import embedded
from streamfan.errors import ConfigError, Permanent, Retryable
from streamfan.sinks import redis as redis_sink
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.deliveries import chunks, deliver
from tests.support.fault_proxy import FaultProxy
from tests.support.receiver import CERTIFICATE
from tests.support.redis_server import RedisServer, free_port
from tests.support.redis_sinks import text_of
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_sinks import Make

SECRET = "s3cr3t@/?#"
QUOTED = "s3cr3t%40%2F%3F%23"


@pytest.fixture
def locked() -> Iterator[RedisServer]:
    with RedisServer(f'requirepass "{SECRET}"') as server:
        yield server


@pytest.fixture
def local_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port that a sink without a URL looks at, where nobody listens yet."""
    port = free_port()
    monkeypatch.setattr(redis_sink, "_LOCAL", f"redis://localhost:{port}/0")
    return port


@pytest.fixture
def own_server(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of a process that has no embedded server yet, and keeps none."""
    yield caplog
    if embedded._server is not None:
        embedded._server.close()


@pytest.fixture
def greeter() -> Iterator[str]:
    """The URL of something that is no Redis: it speaks first."""

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            while self.request.recv(4096):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()


def started(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "streamfan.embedded"]


# A URL that was given


def test_a_url_that_refuses_is_an_error_that_names_it_and_starts_nothing(
    own_server: pytest.LogCaptureFixture, local_port: int
) -> None:
    sink = RedisSink(f"redis://user:{QUOTED}@localhost:{local_port}/3")

    with pytest.raises(Retryable, match=rf"^Redis at redis://\*\*\*@localhost:{local_port}/3: .*Connection refused$"):
        sink.connect()

    assert started(own_server) == []


def test_the_url_of_the_environment_is_named_as_such(local_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:{QUOTED}@localhost:{local_port}/0")

    with pytest.raises(Retryable, match=r"^Redis at redis://\*\*\*@localhost:\d+/0 \(\$REDIS_URL\): "):
        RedisSink().connect()


def test_the_url_of_the_environment_is_used(server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", server.url)
    sink = RedisSink()

    sink.connect()
    deliver(sink, "Hello")
    sink.disconnect()

    assert text_of(server.client) == "Hello"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        f"http://:{SECRET}@localhost",
        f"redis://:{SECRET}@localhost:6379/0",
        "redis://:s3cr3t/x@localhost/0",
        "redis://:s3cr3t?x@localhost/0",
        "redis://localhost:s3cr3t/0",
        "redis://localhost:0/0",
        "redis://localhost/s3cr3t",
        "redis:///0",
        "unix://",
    ],
)
def test_what_is_no_redis_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^the Redis URL (begins|has) .*\nTry: redis://") as caught:
        RedisSink(url)

    assert "s3cr3t" not in str(caught.value)


def test_an_unknown_option_in_the_url_is_refused(server: RedisServer, make: Make) -> None:
    with pytest.raises(ConfigError, match=r"its URL has an option that cannot be used: .*'frobnicate'"):
        make(f"{server.url}?frobnicate=1")


def test_options_for_connection_pools_are_ignored(server: RedisServer, make: Make) -> None:
    deliver(make(f"{server.url}?max_connections=10&timeout=5&decode_responses=1"), "Hello")

    assert text_of(server.client) == "Hello"


@pytest.mark.parametrize("options", ["", "retry_on_timeout=yes"])
def test_no_try_is_repeated_behind_the_back_of_the_lane(options: str, server: RedisServer, make: Make) -> None:
    with FaultProxy(server.port) as proxy:
        proxy.silence()

        with pytest.raises(Retryable, match="Timeout"):
            make(f"{proxy.url}?socket_timeout=0.1&{options}")

        assert proxy.accepted == 1


# Passwords


@pytest.mark.parametrize("way", ["url", "option", "both"])
def test_a_password_lets_in_from_the_url_or_from_the_option(way: str, locked: RedisServer, make: Make) -> None:
    userinfo = {"url": f":{QUOTED}@", "option": "", "both": ":wrong@"}[way]

    sink = make(
        locked.url.replace("//", f"//{userinfo}"), **{} if way == "url" else {"password": SECRET, "username": "default"}
    )

    assert sink.open(info()) == 0


def test_a_wrong_password_is_permanent(locked: RedisServer, make: Make) -> None:
    with pytest.raises(Permanent, match="invalid username-password pair"):
        make(locked.url, password="wrong")
    with pytest.raises(Permanent, match="Authentication required"):
        make(locked.url)


def test_no_password_is_told(locked: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = locked.url.replace("//", f"//user:{QUOTED}@")
    sink = RedisSink(url, RedisOptions.model_validate({"password": SECRET}))

    with pytest.raises(Permanent) as caught:
        sink.connect()

    told = [str(caught.value), repr(caught.value), repr(sink), repr(sink.options), str(sink.label), caplog.text]
    assert not any("s3cr3t" in text for text in told)
    assert sink.label == f"redis://***@127.0.0.1:{locked.port}/0"


def test_a_server_that_repeats_a_command_does_not_repeat_the_password_here() -> None:
    with RedisServer('rename-command AUTH ""') as server:
        sink = RedisSink(server.url.replace("//", f"//user:{QUOTED}@"))

        with pytest.raises(Permanent, match="unknown command 'AUTH'") as caught:
            sink.connect()

    assert "s3cr3t" not in str(caught.value)


# Other ways to reach it


def test_a_unix_socket_is_a_way(make: Make) -> None:
    with RedisServer("unixsocket {folder}/socket") as server:
        sink = make(f"unix://{server.folder}/socket?db=1")

        deliver(sink, "Hello")

        assert sink.label == f"unix://{server.folder}/socket"
        assert server.client.info("keyspace")["db1"]["keys"] == 3


@pytest.fixture
def tls() -> Iterator[tuple[RedisServer, str]]:
    port = free_port()
    files = (f"tls-{kind}-file {CERTIFICATE}" for kind in ("cert", "key", "ca-cert"))
    with RedisServer(f"tls-port {port}", "tls-auth-clients no", *files) as server:
        yield server, f"rediss://localhost:{port}/0"


def test_tls_is_a_way(tls: tuple[RedisServer, str], make: Make) -> None:
    server, url = tls

    deliver(make(f"{url}?ssl_ca_certs={CERTIFICATE}"), "Hello")

    assert text_of(server.client) == "Hello"


def test_a_certificate_that_nobody_vouches_for_is_permanent(tls: tuple[RedisServer, str], make: Make) -> None:
    with pytest.raises(Permanent, match="certificate verify failed"):
        make(tls[1])


# What is wrong with a server


def test_a_database_that_does_not_exist_is_permanent(server: RedisServer, make: Make) -> None:
    with pytest.raises(Permanent, match="DB index is out of range"):
        make(server.url.replace("/0", "/99"))


def test_a_user_who_may_not_write_is_told_when_connecting(server: RedisServer, make: Make) -> None:
    server.client.acl_setuser("reader", enabled=True, nopass=True, categories=["+@read", "+@connection"], keys=["*"])

    with pytest.raises(Permanent, match="permissions to run the 'xadd' command"):
        make(server.url.replace("//", "//reader:x@"))


def test_a_user_who_may_not_run_scripts_can_write(server: RedisServer, make: Make) -> None:
    server.client.acl_setuser(
        "writer", enabled=True, nopass=True, categories=["+@all", "-@scripting"], keys=["*"], channels=["*"]
    )

    deliver(make(server.url.replace("//", "//writer:x@")), "Hello")

    assert text_of(server.client) == "Hello"


def test_a_full_server_may_pass(server: RedisServer, make: Make) -> None:
    sink, stream = make(), info()
    sink.open(stream)
    server.client.config_set("maxmemory", 1)
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
        pytest.raises(Retryable, match="Hash slot not served"),
    ):
        make(node.url)


def test_what_speaks_another_protocol_is_permanent(greeter: str, make: Make) -> None:
    with pytest.raises(Permanent, match="Protocol Error"):
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


# Without a URL


def test_a_local_server_is_used(
    local_port: int, own_server: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, server: RedisServer
) -> None:
    monkeypatch.setattr(redis_sink, "_LOCAL", server.url)
    sink = RedisSink()

    sink.connect()
    deliver(sink, "Hello")
    sink.disconnect()

    assert text_of(server.client) == "Hello"
    assert started(own_server) == []


def test_where_nobody_listens_one_server_is_started_for_all_sinks(
    local_port: int, own_server: pytest.LogCaptureFixture
) -> None:
    sinks = [RedisSink(), RedisSink()]

    for sink in sinks:
        sink.connect()
        deliver(sink, "Hello", stream=info(f"s{sinks.index(sink)}"))

    url = embedded.shared().url
    (line,) = started(own_server)
    assert line.startswith("started Redis ")
    assert "for development" in line
    assert line.endswith(f"; subscribe with {url}")
    assert [sink.label for sink in sinks] == [f"redis://***@{url.partition('@')[2]} (embedded)"] * 2
    for sink in sinks:
        sink.disconnect()


@pytest.mark.parametrize("options", [{}, {"password": SECRET}])
def test_a_local_server_that_wants_a_password_is_not_replaced(
    options: dict[str, str],
    locked: RedisServer,
    own_server: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_sink, "_LOCAL", locked.url)
    sink = RedisSink(None, RedisOptions.model_validate(options))

    if options:
        sink.connect()
    else:
        with pytest.raises(Permanent, match="Authentication required"):
            sink.connect()
    sink.disconnect()

    assert started(own_server) == []


def test_with_a_password_no_server_is_started(local_port: int, own_server: pytest.LogCaptureFixture) -> None:
    sink = RedisSink(None, RedisOptions.model_validate({"password": SECRET}))

    with pytest.raises(Retryable, match=f"localhost:{local_port}/0: .*refused"):
        sink.connect()

    assert started(own_server) == []


def test_what_listens_locally_but_is_no_redis_is_left_alone(
    greeter: str, own_server: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sink, "_LOCAL", greeter)
    sink = RedisSink()

    sink.connect()
    sink.disconnect()

    assert len(started(own_server)) == 1


# Imports


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=50).stdout


def test_redis_is_imported_when_the_sink_connects() -> None:
    code = (
        "import sys; from streamfan.sinks.redis import RedisSink; RedisSink('redis://h'); print('redis' in sys.modules)"
    )

    assert run_python(code) == "False\n"


def test_without_redis_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["redis"] = None
from streamfan.sinks.redis import RedisSink
try:
    RedisSink().connect()
except ImportError as error:
    print(error)
"""

    assert run_python(code) == (
        "sink 'redis' needs redis, which is not installed\nTry: pip install 'streamfan[redis]'\n"
    )
