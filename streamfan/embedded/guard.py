"""Runs a server for as long as the process that asked for it lives: a program of its own, started by its path.

It asks the kernel who its parent is, for nothing else tells the end of that process and of no other: a parent-death
signal comes when the *thread* ends that started the child, and exists on Linux only; the end of a pipe comes when the
last copy of its other end is closed, and a forked child has a copy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

_LOOKS_EVERY = 0.25
_STOPS_WITHIN = 2.0


def main(parent: int, command: list[str]) -> int:
    """Run `command` with what stdin holds, in a folder that only it has, until it ends or `parent` does."""
    if os.getppid() != parent:
        return 1
    with tempfile.TemporaryDirectory(prefix="streamfan-redis-") as folder:
        server = subprocess.Popen(command, cwd=folder)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: server.terminate())
        # daemon: when the server has ended by itself, nobody waits for the parent.
        threading.Thread(target=_stop_without, args=(parent, server), daemon=True).start()
        return server.wait()


def _stop_without(parent: int, server: subprocess.Popen[bytes]) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY)
    server.terminate()
    time.sleep(_STOPS_WITHIN)
    server.kill()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
