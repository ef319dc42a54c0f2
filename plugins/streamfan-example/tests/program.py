"""The collector as a program of its own, `python -m streamfan_example`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Program:
    """Runs for the time of one `with`, always on the same port.

    Attributes:
        target: Its address, as a sink's target.
        folder: Where it keeps texts.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.target = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "streamfan_example", "--listen", self.target, "--folder", str(self.folder)]
        environment = {**os.environ, "STREAMFAN_EXAMPLE_TOKEN": "s3cret"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("collecting in ")

    def kill(self) -> None:
        """SIGKILL: it has no chance to tidy up."""
        self._process.kill()
        self._process.communicate()
