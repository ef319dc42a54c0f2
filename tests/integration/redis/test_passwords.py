"""Who gets in, and that no password is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.redis_server import RedisServer
from tests.support.redis_sinks import QUOTED, SECRET
from tests.support.streams import info

if TYPE_CHECKING:
    from tests.support.redis_sinks import Make


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

        with pytest.raises(Permanent, match=r"unknown command .AUTH.") as caught:
            sink.connect()

    assert "s3cr3t" not in str(caught.value)
