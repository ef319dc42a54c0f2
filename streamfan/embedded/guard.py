"""Runs a server for as long as the process that asked for it lives: a program of its own, started by its path.

It asks the kernel who its parent is, for nothing else tells the end of that process and of no other: a parent-death
signal comes when the *thread* ends that started the child, and exists on Linux only; the end of a pipe comes when the
last copy of its other end is closed, and a forked child has a copy. For the server it will do: its parent has one
thread that matters, and when that is killed nothing else is left to tell.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_LOOKS_EVERY = 0.25
_STOPS_WITHIN = 2.0


def main(parent: int, command: list[str]) -> int:
    """Run `command` with what stdin holds, in a folder that only it has, until it ends or `parent` does."""
    if os.getppid() != parent:
        return 1
    with tempfile.TemporaryDirectory(prefix="streamfan-redis-") as folder:
        server = subprocess.Popen(command, cwd=folder, preexec_fn=_die_with(os.getpid()))  # noqa: PLW1509 - no threads yet
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


def _die_with(guard: int) -> Callable[[], None] | None:
    """What a child does to end with its parent, however that ends; None where it can do nothing."""
    if sys.platform != "linux":
        return None
    # Loaded here, for a child that has not become another program should do as little as possible.
    prctl = ctypes.CDLL(None).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            # It was too late for the signal.
            os._exit(1)

    return die_with_parent


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
