"""A real Redis server as a child of this process, on a loopback port of its own.

Whoever may read this process's memory may use the server, and nobody else: its password is random unless given, and
reaches it through its standard input.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from streamfan.embedded.ports import HOST, free_port, require
from streamfan.errors import Permanent

if TYPE_CHECKING:
    from streamfan.embedded.programs import Program

_GUARD = Path(__file__).with_name("guard.py")
# Between choosing a free port and listening on it somebody else may take it.
_TRIES = 3
_READY_WITHIN = 5.0
_STOPPED_WITHIN = 2.0


class Server:
    """A running server; the constructor returns when it answers.

    It ends when it is closed, or when this process ends, however that ends; not with the thread that made it, and
    neither with a forked child nor because one goes on.

    Args:
        port: Where to listen, there or nowhere; a free one unless given.
        password: Any text but the empty one; random unless given.

    Raises:
        Permanent: It does not start; the text has what it last said.
    """

    def __init__(self, program: Program, *, port: int | None = None, password: str | None = None) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted_port = port
        self._password = password or secrets.token_urlsafe(24)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where it listens, with the password."""
        # With the user's name: redis-cli takes what stands before the colon for one, also where nothing stands there.
        return f"redis://default:{quote(self._password, safe='')}@{HOST}:{self._port}/0"

    @property
    def description(self) -> str:
        """The server's version and place."""
        return f"{self._program.version} ({self._program.path})"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop it; any number of times."""
        # The group has the guard and the server in it, and the number is ours for as long as the guard is not reaped.
        for end in (signal.SIGTERM, signal.SIGKILL):
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, end)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOPPED_WITHIN)

    def _start(self) -> None:
        if self._wanted_port is not None:
            require(self._wanted_port)
        last_words = ""
        for _ in range(_TRIES if self._wanted_port is None else 1):
            self._port = self._wanted_port or free_port()
            with tempfile.TemporaryFile() as output:
                try:
                    self._process = self._launch(output)
                except OSError as error:
                    raise Permanent(f"{self.description} does not start: {error}") from None
                if self._ready(output):
                    return
                last_words = _last_words(output)
        raise Permanent(f"{self.description} does not start: {last_words}")

    def _launch(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        # -I -S: quick, and whatever this process's environment does to Python is not done to the guard.
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid())]
        # A session of its own: Ctrl-C at the terminal must not stop it before the last text has been delivered.
        process = subprocess.Popen(
            [*guard, self._program.path, "-"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None
        # A guard that has died at once is noticed when it is asked for an answer.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(self._configuration().encode())
        return process

    def _configuration(self) -> str:
        return "\n".join(
            (
                f"bind {HOST}",
                f"port {self._port}",
                f"requirepass {_quoted(self._password)}",
                "daemonize no",
                "loglevel warning",
                'save ""',
                "appendonly no",
                *(f'rename-command {command} ""' for command in self._program.disabled),
                "",
            )
        )

    def _ready(self, output: IO[bytes]) -> bool:
        """Wait for an answer; False if the server has ended instead."""
        deadline = time.monotonic() + _READY_WITHIN
        while self.alive:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                raise Permanent(f"{self.description} has not answered in {_READY_WITHIN:.0f} s: {_last_words(output)}")
            time.sleep(0.01)
        return False

    def _answers(self) -> bool:
        # With the password: an answer from whoever else listens there is not the one expected.
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {_quoted(self._password)}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def _last_words(output: IO[bytes]) -> str:
    output.seek(0)
    lines = [line.strip() for line in output.read().decode(errors="replace").split("\n")]
    return " | ".join([line for line in lines if line][-3:]) or "it said nothing"


def _quoted(text: str) -> str:
    """The text as Redis reads it in a configuration and in a command that somebody types, whatever is in it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'
