"""fakeredis in a thread of this process: the last resort, where no server is installed.

It takes any password, so the loopback address is all that protects it, and it offers neither scripts nor persistence.
"""

from __future__ import annotations

import threading
from importlib.metadata import version


class Emulation:
    """A running emulation; it ends when it is closed, or with this process."""

    def __init__(self) -> None:
        from fakeredis import TcpFakeServer

        self._server = TcpFakeServer(("127.0.0.1", 0))
        # Its threads wait for their clients, which the end of this process must not do.
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="streamfan-fakeredis", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens; there is no password."""
        return f"redis://127.0.0.1:{self._server.server_address[1]}/0"

    @property
    def description(self) -> str:
        """Its version, and what it is not."""
        return f"fakeredis {version('fakeredis')}, an emulation that every user of this machine can read,"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop it; any number of times."""
        if self.alive:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
