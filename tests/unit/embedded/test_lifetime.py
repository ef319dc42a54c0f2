"""When a server ends: with its program, and with nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.embedded import answers, connect, exists
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_ends_with_its_guard(owner: Owner, number: signal.Signals) -> None:
    with connect(owner.url) as client:
        guard = os.getpgid(client.info("server")["process_id"])

    os.kill(guard, number)

    wait_until(lambda: not answers(owner.url))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells a process of its parent's end")
def test_a_server_ends_with_a_guard_that_was_killed(owner: Owner) -> None:
    with connect(owner.url) as client:
        server = client.info("server")["process_id"]
    guard = os.getpgid(server)

    os.kill(guard, signal.SIGKILL)

    wait_until(lambda: not exists(server))
    owner.folder.rmdir()


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

    assert url.startswith("redis://default:")
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
