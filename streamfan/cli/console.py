"""What people see on stderr: log lines, what is waited for, and nothing that model text could do to a terminal."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from typing import TYPE_CHECKING

import click

from streamfan.cli.explain import TRACEBACK_VARIABLE, explain
from streamfan.cli.writer import Writer
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_writer: Writer | None = None


def say(text: str) -> None:
    """One or more lines on stderr; never raises, also where stderr is closed or full."""
    _write(f"{visible(text)}\n")


def draw(what: RenderableType) -> None:
    """What rich makes of it, on stderr; its texts must be fit for a terminal. Does not raise because of stderr."""
    from rich.console import Console

    # Not by rich itself, which ends the program when a pipe is closed; nor captured by it, which touches stderr too.
    drawn = io.StringIO()
    # Neither markup nor emoji codes: brackets and colons in a name are what they are.
    Console(file=drawn, force_terminal=on_terminal() or None, highlight=False, markup=False, emoji=False).print(what)
    _write(drawn.getvalue())


def on_terminal() -> bool:
    """Whether stderr is a terminal; one that is closed is none."""
    return sys.stderr is not None and sys.stderr.isatty()


def complain(error: BaseException) -> None:
    """Say on stderr that something is wrong."""
    say(f"Error: {explain(error)}")
    if os.environ.get(TRACEBACK_VARIABLE):
        say("".join(traceback.format_exception(error)))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time, and leave no trace of it."""
    if not on_terminal():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    # Not a string, which would be markup.
    with Console(stderr=True).status(Text(visible(what))):
        yield


@contextmanager
def in_background(patience: Callable[[], float]) -> Iterator[None]:
    """Have all that is said here written by another thread: nobody who says something waits for who reads it.

    Args:
        patience: Seconds that reading what is left may take at the end.
    """
    global _writer
    _writer = writer = Writer()
    try:
        yield
    finally:
        _writer = None
        writer.close(patience)


def flush() -> None:
    """Wait until all that was said in the background is written, however long that takes; nothing is said after it."""
    if writer := _writer:
        writer.close(lambda: inf)


@contextmanager
def held() -> Iterator[None]:
    """Let all that was said be written, and hold back what is said meanwhile: somebody types on the same terminal."""
    with nullcontext() if _writer is None else _writer.held():
        yield


def log_to_stderr(verbosity: int) -> None:
    """Show what streamfan logs: warnings, with 1 also what happens, with 2 everything.

    That a sink has failed is said at the end, with what it lacks; here only with 1.
    """
    logger = logging.getLogger("streamfan")
    handler = _Handler()
    if not verbosity:
        handler.addFilter(lambda record: record.name != "streamfan.lane" or record.levelno < logging.ERROR)
    logger.handlers = [handler]
    logger.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    logger.propagate = False


def trace_plugins() -> None:
    """Show which modules of plugins are imported, how long each takes, and what its hooks are called for."""
    logger = logging.getLogger("streamfan-plugins")
    logger.handlers = [_Handler()]
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def _write(text: str) -> None:
    # Asked once: another thread may be the last to say something.
    if writer := _writer:
        writer.write(text)
        return
    try:
        # Colours are decided already.
        click.echo(text, err=True, nl=False, color=True)
    except (OSError, ValueError):
        _forget_stderr()


def _forget_stderr() -> None:
    """Let what is left go into nothing: nobody can read it, and the interpreter would fail to flush it."""
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"streamfan: {self.format(record)}")
