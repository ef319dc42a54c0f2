"""What people see on stderr: log lines, what is waited for, and nothing that model text could do to a terminal."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from streamfan.cli.explain import TRACEBACK_VARIABLE, explain
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def say(text: str) -> None:
    """One or more lines on stderr; never raises, also where stderr is closed."""
    try:
        click.echo(visible(text), err=True)
    except OSError:
        # Nobody is left who could read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def complain(error: BaseException) -> None:
    """Say on stderr that something is wrong."""
    say(f"Error: {explain(error)}")
    if os.environ.get(TRACEBACK_VARIABLE):
        say("".join(traceback.format_exception(error)))


def stderr() -> Console:
    """Rich on stderr, in colour where that is a terminal and NO_COLOR is not set."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time, and leave no trace of it."""
    if not sys.stderr.isatty():
        yield
        return
    with stderr().status(visible(what)):
        yield


def log_to_stderr(verbosity: int) -> None:
    """Show what streamfan logs: warnings, with 1 also what happens, with 2 everything."""
    logger = logging.getLogger("streamfan")
    logger.handlers = [_Handler()]
    logger.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    logger.propagate = False


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"streamfan: {self.format(record)}")
