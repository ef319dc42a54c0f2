"""fakeredis in a thread of this process: the last resort, where no server is installed.

It takes any password, so the loopback address is all that protects it, and it offers neither scripts nor persistence.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from urllib.parse import quote

from streamfan.embedded.ports import HOST, unavailable


class Emulation:
    """A running emulation; it ends when it is closed, or with this process.

    Args:
        port: Where to listen, there or nowhere; a free one unless given.
        password: Stands in the URL, as a server's would; others are let in too.

    Raises:
        Permanent: It cannot listen on `port`.
    """

    def __init__(self, *, port: int | None = None, password: str | None = None) -> None:
        from fakeredis import TcpFakeServer

        self._userinfo = f"default:{quote(password, safe='')}@" if password else ""
        try:
            self._server = TcpFakeServer((HOST, port or 0))
        except OSError as error:
            raise unavailable(port or 0, error) from None
        # Its threads wait for their clients, which the end of this process must not do.
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="streamfan-fakeredis", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, with the password if one was given."""
        return f"redis://{self._userinfo}{HOST}:{self._server.server_address[1]}/0"

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
