"""Without a URL: a server on this machine, or one that is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import embedded
from streamfan.errors import Permanent, Retryable
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.sinks.redis import link as redis_link
from tests.support.deliveries import deliver
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import SECRET, text_of
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_local_server_is_used(
    local_port: int, started: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, server: RedisServer
) -> None:
    monkeypatch.setattr(redis_link, "LOCAL", server.url)
    sink = RedisSink()

    sink.connect()
    deliver(sink, "Hello")
    sink.disconnect()

    assert text_of(server.client) == "Hello"
    assert started() == []


def test_where_nobody_listens_one_server_is_started_for_all_sinks(
    local_port: int, started: Callable[[], list[str]]
) -> None:
    sinks = [RedisSink(), RedisSink()]

    for sink in sinks:
        sink.connect()
        deliver(sink, "Hello", stream=info(f"s{sinks.index(sink)}"))

    url = embedded.shared().url
    (line,) = started()
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
    started: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_link, "LOCAL", locked.url)
    sink = RedisSink(None, RedisOptions.model_validate(options))

    if options:
        sink.connect()
    else:
        with pytest.raises(Permanent, match="Authentication required"):
            sink.connect()
    sink.disconnect()

    assert started() == []


def test_a_local_server_that_is_slow_is_not_replaced(
    started: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, server: RedisServer
) -> None:
    monkeypatch.setattr(redis_link, "LOCAL", server.url)
    sink = RedisSink()

    server.freeze()
    try:
        with pytest.raises(Retryable, match="Timeout"):
            sink.connect()
    finally:
        server.thaw()
    sink.connect()
    sink.disconnect()

    assert started() == []
    assert sink.label == server.url


def test_with_a_password_no_server_is_started(local_port: int, started: Callable[[], list[str]]) -> None:
    sink = RedisSink(None, RedisOptions.model_validate({"password": SECRET}))

    with pytest.raises(Retryable, match=f"localhost:{local_port}/0: .*refused"):
        sink.connect()

    assert started() == []


def test_what_listens_locally_but_is_no_redis_is_left_alone(
    greeter: str, started: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "LOCAL", greeter)
    sink = RedisSink()

    sink.connect()
    sink.disconnect()

    assert len(started()) == 1
