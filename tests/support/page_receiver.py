"""The receiver that docs/webhook.md shows, at work: a process of its own that can be killed and started again."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from time import monotonic, sleep
from typing import TYPE_CHECKING, Self

from tests.support.faults import injects
from tests.support.page import blocks
from tests.support.receiver import PATIENCE
from tests.support.redis_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class PageReceiver:
    """Listens on a port of its own, and keeps what it takes in `received.db`.

    Args:
        folder: Where it works.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}/hook"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._code = next(block for block in blocks("webhook.md", "python") if "ThreadingHTTPServer" in block)
        assert "8000" in self._code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        if self._process is not None:
            return
        code = self._code.replace("8000", str(self.port))
        with (self._folder / "receiver.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-c", code], cwd=self._folder, stderr=log)
        self.wait_until(self._listens)

    @injects
    def kill(self) -> None:
        """Kill it, at once and in the middle of whatever it does."""
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait_for(self, pieces: int) -> None:
        """Wait until it holds so many pieces."""
        self.wait_until(lambda: self.pieces >= pieces)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; another process does not say when.

        Raises:
            AssertionError: It does not in good time.
        """
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline, (self._folder / "receiver.log").read_text()
            sleep(0.005)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "receiver.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def pieces(self) -> int:
        """How many pieces of text it holds."""
        (count,) = self._query("SELECT count(*) FROM pieces")[0]
        return int(count)

    @property
    def texts(self) -> list[str]:
        """The text of every piece it holds, in the order in which they came."""
        return [text for (text,) in self._query("SELECT text FROM pieces ORDER BY rowid")]

    def text(self, stream: str) -> str:
        """What it holds of a stream: one piece after the other, in the order in which they came."""
        rows = self._query("SELECT text FROM pieces WHERE stream = ? ORDER BY rowid", stream)
        return "".join(text for (text,) in rows)

    @injects
    def lose(self, pieces: int) -> None:
        """Take away the newest pieces, as a restored backup does."""
        self._query("DELETE FROM pieces WHERE rowid IN (SELECT rowid FROM pieces ORDER BY rowid DESC LIMIT ?)", pieces)

    def _query(self, query: str, *values: object) -> list[tuple[str]]:
        with closing(sqlite3.connect(self._folder / "received.db")) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS pieces (stream, attempt, offset, end, text)")
            return db.execute(query, values).fetchall()
