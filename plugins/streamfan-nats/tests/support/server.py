"""A real nats-server for tests: on a free loopback port, which it keeps when it is killed and started again.

with NatsServer() as server:
    publish_something_to(server.url)
    server.kill()
    server.start()
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PATIENCE = 30.0
"""Seconds after which a test that waits has failed."""


class NatsServer:
    """A server process with a folder of its own; it runs from `start`, or `with`, to `stop`.

    Args:
        configuration: Lines of its configuration.
        jetstream: Whether it has JetStream, in files in its folder.

    Attributes:
        url: Where it listens, without a password.
    """

    def __init__(self, *configuration: str, jetstream: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nats-"))
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._configuration = self.folder / "configuration"
        store = [f'jetstream {{ store_dir: "{self.folder}/store" }}'] if jetstream else []
        self._configuration.write_text("\n".join([f"listen: 127.0.0.1:{self.port}", *configuration, *store, ""]))
        self._output = self.folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What it has said."""
        return self._output.read_text()

    def start(self) -> None:
        """Start it, with the files that it has left; returns when it answers."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                ["nats-server", "-c", str(self._configuration)], stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL: it has no time to write anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections, and does nothing until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Remove what a server that does not run has stored, as if it had lost its disk."""
        shutil.rmtree(self.folder / "store")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            return connection.recv(64).startswith(b"INFO")
        return False


@contextmanager
def cluster(size: int) -> Iterator[list[NatsServer]]:
    """Servers with JetStream that know each other, called server0 and so on."""
    ports = [free_port() for _ in range(size)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = [
        NatsServer(
            f"server_name: server{name}", f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
        )
        for name, port in enumerate(ports)
    ]
    with ExitStack() as running:
        for server in servers:
            running.enter_context(server)
        yield servers


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
