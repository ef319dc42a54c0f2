"""What a server is like, and who gets in."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from streamfan.embedded import server as server_module
from streamfan.embedded.programs import Program, installed
from streamfan.embedded.server import Server
from streamfan.errors import Permanent
from tests.support.embedded import answers, connect, exists, program
from tests.support.redis_server import free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(next(installed()))
    yield server
    server.close()


def test_a_server_answers_when_it_is_made(server: Server) -> None:
    with connect(server.url) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_only_this_machine_and_only_who_knows_the_password_gets_in(server: Server) -> None:
    with connect(server.url) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    guess = server.url.replace(server.url.split("@")[0], "redis://default:guess")
    with connect(guess) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_command_line_and_no_file_holds_the_password(server: Server) -> None:
    with connect(server.url) as client:
        process, folder = client.info("server")["process_id"], Path(client.config_get("dir")["dir"])
    password = server.url.split("@")[0].rpartition(":")[2]

    # The server's, and the guard's, which leads the group.
    lines = [Path(f"/proc/{id}/cmdline").read_text() for id in (process, os.getpgid(process))]

    assert "127.0.0.1:" in lines[0]
    assert "guard.py" in lines[1]
    assert not any(password in line for line in lines)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(password in file.read_text() for file in folder.iterdir())


def test_ctrl_c_at_the_terminal_does_not_reach_it(server: Server) -> None:
    with connect(server.url) as client:
        process = client.info("server")["process_id"]

    assert os.getpgid(process) != os.getpgid(0)
    assert os.getsid(process) != os.getsid(0)


def test_closing_ends_the_processes_and_removes_the_folder(server: Server) -> None:
    with connect(server.url) as client:
        process, folder = client.info("server")["process_id"], Path(client.config_get("dir")["dir"])

    server.close()
    server.close()

    assert not server.alive
    assert not answers(server.url)
    assert not folder.exists()
    wait_until(lambda: not exists(process))


def test_disabled_commands_are_not_there() -> None:
    path, version = next(installed()).path, next(installed()).version
    server = Server(Program(path, version, ("EVAL",)))

    with connect(server.url) as client, pytest.raises(redis.ResponseError, match="unknown command"):
        client.eval("return 1", 0)

    server.close()


def test_a_port_that_was_taken_in_the_meantime_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = iter([other.getsockname()[1], free_port()])
        monkeypatch.setattr(server_module, "free_port", lambda: next(ports))

        server = Server(next(installed()))

    assert answers(server.url)
    server.close()


def test_a_program_that_ends_at_once_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = program(tmp_path, "server", "", "echo out of luck; exit 1")

    with pytest.raises(Permanent, match=r"^Redis 9 \(.*/server\) does not start: out of luck$"):
        Server(Program(str(path), "Redis 9"))

    assert list(tmp_path.iterdir()) == [path]


def test_a_program_that_never_answers_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(server_module, "_READY_WITHIN", 0.3)
    path = program(tmp_path, "server", "", "echo $$ > ../pid; exec sleep 1000")

    with pytest.raises(Permanent, match="has not answered in"):
        Server(Program(str(path), "Redis 9"))

    wait_until(lambda: not exists(int((tmp_path / "pid").read_text())))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pid", "server"]
