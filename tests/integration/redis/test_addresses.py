"""A URL that was given: what is taken for one, and the ways that lead to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.errors import ConfigError, Permanent, Retryable
from streamfan.sinks.redis import RedisSink
from tests.support.deliveries import deliver
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import QUOTED, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.redis_sinks import Make


def test_a_url_that_refuses_is_an_error_that_names_it_and_starts_nothing(
    started: Callable[[], list[str]], local_port: int
) -> None:
    sink = RedisSink(f"redis://user:{QUOTED}@localhost:{local_port}/3")

    with pytest.raises(Retryable, match=rf"^Redis at redis://\*\*\*@localhost:{local_port}/3: .*Connection refused$"):
        sink.connect()

    assert started() == []


def test_the_url_of_the_environment_is_named_as_such(local_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:{QUOTED}@localhost:{local_port}/0")

    with pytest.raises(Retryable, match=r"^Redis at redis://\*\*\*@localhost:\d+/0 \(\$REDIS_URL\): "):
        RedisSink().connect()


def test_the_url_of_the_environment_is_used(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", server.url)
    sink = RedisSink()

    sink.connect()
    deliver(sink, "Hello")
    sink.disconnect()

    assert text_of(server.client) == "Hello"


def test_an_unknown_option_in_the_url_is_refused(server: RedisServer, make: Make) -> None:
    with pytest.raises(ConfigError, match="URL has an option that cannot be used: 'frobnicate'"):
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


def test_a_unix_socket_is_a_way(make: Make) -> None:
    with RedisServer("unixsocket {folder}/socket") as server:
        sink = make(f"unix://{server.folder}/socket?db=1")

        deliver(sink, "Hello")

        assert sink.label == f"unix://{server.folder}/socket"
        assert server.client.info("keyspace")["db1"]["keys"] == 3


def test_tls_is_a_way(tls: tuple[RedisServer, str], make: Make) -> None:
    server, url = tls

    deliver(make(url), "Hello")

    assert text_of(server.client) == "Hello"


def test_a_certificate_that_nobody_vouches_for_is_permanent(tls: tuple[RedisServer, str], make: Make) -> None:
    with pytest.raises(Permanent, match="certificate verify failed"):
        make(tls[1].partition("?")[0])


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_of_the_url_that_cannot_be_read_is_named(
    option: str, tls: tuple[RedisServer, str], make: Make, tmp_path: Path
) -> None:
    url = tls[1].partition("?")[0]

    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=rf"an option that cannot be used: {option}: .*{why}: '{path}'$"):
            make(f"{url}?{option}={path}")
