"""What is taken for a Redis URL, and what of it is shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from streamfan.errors import ConfigError
from streamfan.redis.address import Address, find
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.redis_sinks import QUOTED, SECRET


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
        "redis://:s3cr3t\udcff@localhost/0",
        "redis:///0",
        "redis://s3cr3t..example/0",
        f"redis://{64 * 'a'}.example/0",
        "redis://s3cr3t%2e%2eexample/0",
        "unix://",
    ],
)
def test_what_is_no_redis_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^the Redis URL (begins|has|is no) .*\nTry: redis://") as caught:
        RedisSink(url)

    assert "s3cr3t" not in str(caught.value)


def test_what_is_wrong_with_the_url_of_the_environment_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "localhost:6379")

    with pytest.raises(ConfigError, match=r"^\$REDIS_URL begins with none of redis://, rediss://, unix://"):
        RedisSink()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        (f"redis://user:{QUOTED}@host:6380/3?db=4", "redis://***@host:6380/3"),
        ("rediss://s3cr3t@[::1]:6379/0", "rediss://***@[::1]:6379/0"),
        ("redis://host/0?password=s3cr3t", "redis://host/0"),
        ("redis://s3cr3t?x@host/0", "redis://***"),
        ("unix://:s3cr3t@/run/redis.sock?db=1", "unix://***@/run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_user_password_and_query(url: str, shown: str) -> None:
    assert str(Address(url)) == shown
    assert "s3cr3t" not in repr(Address(url))


def test_an_address_tells_where_it_comes_from() -> None:
    assert str(Address("redis://host", "$REDIS_URL")) == "redis://host ($REDIS_URL)"


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("redis://localhost", "10.0.0.7", "redis://10.0.0.7:7001"),
        (
            f"rediss://user:{QUOTED}@host:6380/0?ssl_ca_certs=x",
            "::1",
            f"rediss://user:{QUOTED}@[::1]:7001/0?ssl_ca_certs=x",
        ),
        (f"redis://:{QUOTED}@[::1]:6380/0", None, f"redis://:{QUOTED}@[::1]:7001/0"),
        ("unix://user:x@/run/redis.sock?socket_timeout=2", None, "redis://user:x@localhost:7001?socket_timeout=2"),
    ],
)
def test_the_way_to_another_server_differs_in_host_and_port_only(url: str, host: str | None, expected: str) -> None:
    assert Address(url, "$REDIS_URL").at(host, 7001) == Address(expected, "$REDIS_URL")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6380/3", f"redis://:{QUOTED}@host:6380/3"),
        ("rediss://user:other@[::1]/0?ssl_ca_certs=x", f"rediss://user:{QUOTED}@[::1]/0?ssl_ca_certs=x"),
        ("unix:///run/redis.sock?db=4", f"unix://:{QUOTED}@/run/redis.sock?db=4"),
    ],
)
def test_a_password_takes_the_place_of_the_urls(url: str, expected: str) -> None:
    assert Address(url, "$REDIS_URL").with_password(SECRET) == Address(expected, "$REDIS_URL")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("socket_timeout=-1", "socket_timeout"),
        ("socket_timeout=0", "socket_timeout"),
        ("socket_connect_timeout=1e18", "socket_connect_timeout"),
        ("socket_timeout=nan", "socket_timeout"),
        ("encoding=s3cr3t", "encoding"),
        ("encoding_errors=s3cr3t", "encoding_errors"),
        ("encoding=utf-16", "encoding"),
        ("encoding=ascii", "encoding"),
        ("credential_provider=s3cr3t", "credential_provider"),
        ("redis_connect_func=s3cr3t", "redis_connect_func"),
        ("retry=3", "retry"),
        ("socket_keepalive_options=s3cr3t", "socket_keepalive_options"),
        ("db=s3cr3t", "db"),
        ("db=1&foo=s3cr3t", "foo"),
        ("ssl_cert_reqs=s3cr3t", "ssl_cert_reqs"),
    ],
)
def test_option_that_cannot_be_used_is_named_at_once_without_its_value(query: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"the Redis URL has an option that cannot be used: '{name}'") as caught:
        RedisSink(f"rediss://localhost/0?{query}")

    assert "s3cr3t" not in str(caught.value)


def test_option_that_is_part_of_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="has an option that cannot be used\n") as caught:
        RedisSink("redis://user?s3cr3t=x@localhost")

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "query", ["socket_timeout=0.1", "ssl_cert_reqs=none", "encoding=UTF8", "max_connections=10&timeout=5"]
)
def test_option_that_redis_py_knows_is_taken(query: str) -> None:
    RedisSink(f"rediss://localhost/0?{query}")


@pytest.mark.parametrize("options", [{"history": 10**30}, {"ttl": "106751991167300d"}, {"lease": "106751991167300d"}])
def test_option_that_no_server_can_count_to_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RedisOptions.model_validate(options)


@pytest.mark.parametrize(
    ("url", "variable", "found"),
    [
        ("redis://here", "redis://there", "redis://here"),
        (None, "redis://there", "redis://there ($REDIS_URL)"),
        (None, "", "None"),
        (None, None, "None"),
    ],
)
def test_an_address_is_given_or_in_the_environment_or_there_is_none(
    url: str | None, variable: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is None:
        monkeypatch.delenv("REDIS_URL", raising=False)
    else:
        monkeypatch.setenv("REDIS_URL", variable)

    assert str(find(url)) == found
