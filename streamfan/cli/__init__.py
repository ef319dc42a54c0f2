"""The command line: one module per command, imported when its command is.

The library raises; here an error becomes text and an exit code: 2 for what was said wrong, 1 for the rest. Commands
that know more codes end with `ctx.exit`.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from streamfan import __version__
from streamfan.cli.explain import TRACEBACK_VARIABLE, explain
from streamfan.errors import StreamfanError, UsageError
from streamfan.printed import stdout_kept
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
BROKEN_PIPE = 141
TRACE_VARIABLE = "STREAMFAN_TRACE_PLUGINS"
# Click's, which a shell sets.
_COMPLETE_VARIABLE = "_STREAMFAN_COMPLETE"

# With its help here, so that showing what commands there are imports none of them.
_COMMANDS = {
    "run": "Generate text from PROMPT, live, to stdout and to every --sink.",
    "chat": "Hold a conversation, live on the terminal and at every --sink.",
    "tail": "Follow a stream from another process; list streams, or stop one.",
    "replay": "Publish a recording again, to stdout and to every --sink.",
    "sinks": "Show which sinks are installed, or all about one.",
    "sources": "Show which sources are installed, or all about one.",
    "check": "Parse, load and connect every configured sink, without loading a model.",
    "schema": "Print the JSON Schema of streamfan.toml, for the sinks that are installed.",
    "new-plugin": "Make a distribution of your own, with a sink that passes its tests as it stands.",
    "redis": "Run a Redis for development until Ctrl-C, and print the line that exports its URL.",
}


class Failure(click.ClickException):
    """An error as the command line ends with it."""

    def format_message(self) -> str:
        """The text, fit for a terminal: it may hold what a server or a file said."""
        return visible(super().format_message())

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it, and keep the exit code also where stderr takes nothing."""
        from streamfan.cli import console

        console.say(f"Error: {self.format_message()}")


class Misuse(Failure):
    """What was asked for cannot be done as it was said."""

    exit_code = 2


class Commands(click.Group):
    """The commands by name, and the outer edge: whatever is raised below ends here."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        _fill_gaps()
        with stdout_kept():
            if os.environ.get(_COMPLETE_VARIABLE, "").endswith("_complete"):
                _complete(lambda: super(Commands, self).main(*args, **kwargs))
            return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as `--help` orders them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; its module is imported now."""
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"streamfan.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest one of those that are not imported yet."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=_COMMANDS, ctx=ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, without importing them, and the options."""
        commands = [CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; no error leaves this as a traceback unless the environment asks for one."""
        _write_utf8()
        if os.environ.get(TRACE_VARIABLE):
            from streamfan.cli import console

            console.trace_plugins()
        with _edge():
            return super().invoke(ctx)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse, which may already print: a help or a version."""
        with _edge():
            return super().make_context(*args, **kwargs)


@contextmanager
def _edge() -> Iterator[None]:
    """Turn every error into what click ends with."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except StreamfanError as error:
        raise (Misuse if isinstance(error, UsageError) else Failure)(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _forget_stdout()
        raise click.exceptions.Exit(BROKEN_PIPE) from None
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        # What a full disk says of an output; of a file it would say the name.
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None
        raise Failure("the output cannot be written: no space left" if full else explain(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="streamfan")
def main() -> None:
    """Tee for language models: one generation, any number of consumers, live."""


def _complete(offer: Callable[[], object]) -> NoReturn:
    """Offer what could be typed next, or nothing: whatever goes wrong or is said, somebody is at a prompt."""
    if os.environ.get(TRACEBACK_VARIABLE):
        offer()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    with suppress(Exception, SystemExit):
        offer()
    sys.exit()


def _fill_gaps() -> None:
    """Open what is closed of the standard streams: else a file would get the number, and what is said to people."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as there is a program


def _write_utf8() -> None:
    """Text is UTF-8 everywhere, whatever the locale says; what has no UTF-8 form is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _forget_stdout() -> None:
    """Let the interpreter flush what is left into nothing: nobody reads it any more."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
