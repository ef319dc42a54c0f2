"""`streamfan tail`: follow a stream from another process, list the recent ones, or stop one."""

from __future__ import annotations

import getpass
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from streamfan.cli import console
from streamfan.cli.listing import list_recent
from streamfan.cli.output import Output
from streamfan.cli.secret_file import read_secret
from streamfan.errors import (
    HistoryTrimmed,
    ServerError,
    ServerUnreachable,
    StreamError,
    StreamFailed,
    StreamfanError,
    StreamNotFound,
    UsageError,
    WireError,
)
from streamfan.events import End, encode
from streamfan.redis.address import LOCAL, Address, find
from streamfan.subscriber import subscribe
from streamfan.terminal import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.events import Event
    from streamfan.subscriber import Subscription

_FAILED = 1
_NOT_REACHED = 4
# Seconds until it is said why --cancel takes its time.
_TAKES_LONG = 3.0
_HERE = ("localhost", "127.0.0.1", "::1")

EPILOG = """
\b
Examples:
  streamfan tail                          every stream that begins from now on
  streamfan tail --list
  streamfan tail 20261120-172331-k3f9
  streamfan tail 20261120-172331-k3f9 --events --url redis://example.org/0
  streamfan tail 20261120-172331-k3f9 --cancel --reason "seen enough"

\b
Exit codes:
  0  the stream has ended, and all of it was shown; with --cancel: it was stopped, or had ended before
  1  the stream failed, was started again, or some of it could not be had; with --cancel also: it was asked to stop, and
     ended otherwise
  2  usage
  4  the server could not be reached, or refused
  130  interrupted; the stream goes on
  141  the output was closed by its reader
"""


@click.command(epilog=EPILOG)
@click.argument("stream", required=False)
@click.option("--url", metavar="URL", help=f"The Redis; $REDIS_URL unless given, else {LOCAL}.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Holds the Redis's password; $STREAMFAN_REDIS_PASSWORD unless given, else it is the URL's.",
)
@click.option(
    "--from", "offset", type=click.IntRange(min=0), default=0, metavar="OFFSET", help="Skip so many bytes of text."
)
@click.option(
    "--attempt",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="Read only this one (--from counts in it); if a later one has begun, say so.",
)
@click.option("--events", is_flag=True, help="Print events, one line of JSON each, instead of text.")
@click.option("--list", "listing", is_flag=True, help="List the recent streams, the latest first.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="NUMBER",
    help="With --list: how many at most.",
)
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@click.option("--cancel", is_flag=True, help="Ask the producer to stop, and wait until it has; shows no text.")
@click.option("--reason", default="cancelled", show_default=True, metavar="TEXT", help="With --cancel: why.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Holds what the producer wants to be shown with --cancel; $STREAMFAN_TOKEN unless given.",
)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for a stream, or for a server."
)
@click.option("--prefix", default="streamfan", show_default=True, help="What the producer's keys begin with.")
@click.pass_context
def tail(
    context: click.Context, /, stream: str | None, url: str | None, password_file: str | None, prefix: str, **how: Any
) -> None:
    """Follow a stream from another process; list streams, or stop one.

    Prints the text of STREAM from its start, and then as it comes; also of one that has ended, for as long as Redis
    keeps it. Without STREAM: of every stream that begins from now on, one after the other. Leaving it, with Ctrl-C for
    example, stops nobody but this command.
    """
    _check(_given(context))
    address = _address(url, password_file)
    # That a server is away, and that it is tried again.
    console.log_to_stderr(0)
    try:
        if how["listing"]:
            list_recent(address, prefix, how["count"], as_json=how["as_json"])
        else:
            context.exit(_tail(stream, address, prefix, **how))
    except (ServerError, StreamNotFound) as error:
        context.exit(_complain(error, address))


def _address(url: str | None, password_file: str | None) -> Address:
    address = find(url) or Address(LOCAL)
    password = read_secret("--password-file", password_file, "STREAMFAN_REDIS_PASSWORD")
    return address if password is None else address.with_password(password)


# What goes only with another, and what does not go with which others.
_NEEDS = {
    "--attempt": "STREAM",
    "--cancel": "STREAM",
    "--count": "--list",
    "--from": "STREAM",
    "--json": "--list",
    "--reason": "--cancel",
    "--token-file": "--cancel",
}
_EXCLUDES = {
    "--list": ("STREAM", "--attempt", "--cancel", "--events", "--from", "--wait"),
    "--cancel": ("--events", "--from", "--wait"),
}


def _given(context: click.Context) -> set[str]:
    """What was said on the command line, by the names that users know."""
    return {
        parameter.opts[0] if isinstance(parameter, click.Option) else "STREAM"
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def _check(given: set[str]) -> None:
    for option, others in _EXCLUDES.items():
        wrong = [other for other in others if option in given and other in given]
        if wrong:
            raise UsageError(f"{option} does not go with {wrong[0]}\nTry: streamfan tail --help")
    for option, needed in _NEEDS.items():
        if option in given and needed not in given:
            hint = "streamfan tail --list, for the ids of streams" if needed == "STREAM" else f"{needed} as well"
            raise UsageError(f"{option} needs {needed}\nTry: {hint}")


def _tail(stream: str | None, address: Address, prefix: str, **how: Any) -> int:
    """Follow a stream, or stop it; the exit code."""
    events: bool = how["events"] or how["cancel"]
    token = read_secret("--token-file", how["token_file"], "STREAMFAN_TOKEN")
    place = {"offset": how["offset"], "attempt": how["attempt"]}
    with subscribe(
        address.url, stream, **place, events=events, wait=how["wait"], prefix=prefix, token=token
    ) as subscription:
        return _cancel(subscription, how["reason"]) if how["cancel"] else _follow(subscription, address)


# Following


def _follow(subscription: Subscription[Any], address: Address) -> int:
    """Print what comes; the exit code."""
    output = Output()
    several = subscription.stream is None
    if several and console.on_terminal():
        console.say(f"streamfan: waiting for streams at {address}; Ctrl-C to leave")
    code = 0
    stream = None
    for what in _parts(subscription):
        if isinstance(what, StreamfanError):
            output.finish()
            code = _complain(what, address)
            continue
        if stream != subscription.stream:
            stream = subscription.stream
            _begin(output, stream if several and isinstance(what, str) else None)
        if isinstance(what, str):
            output.write(what)
        else:
            output.write_json(f"{encode(what).decode()}\n")
            code = _FAILED if isinstance(what, End) and what.finish_reason == "error" else code
    output.finish()
    end = subscription.outcome
    if not several and end is not None and end.finish_reason == "cancelled":
        console.say(f"streamfan: stream {end.stream!r} was cancelled{_by_whom(end)}")
    return code


def _begin(output: Output, stream: str | None) -> None:
    """Let a stream begin on a line of its own; on a terminal say which it is, where its name is given."""
    output.begin_line()
    if stream is not None and console.on_terminal():
        console.say(f"streamfan: stream {stream!r}")


def _complain(error: StreamfanError, address: Address) -> int:
    """Say what is wrong, and what to try at a shell; the exit code."""
    hint = ""
    if isinstance(error, StreamNotFound):
        hint = "\nTry: streamfan tail --list, for the ids of streams"
    elif isinstance(error, ServerUnreachable) and "refused" in str(error) and urlsplit(address.url).hostname in _HERE:
        hint = "\nTry: streamfan redis, for one to develop with"
    # What a producer says of its error must not look like a line of ours.
    said = visible_line(str(error)) if isinstance(error, StreamFailed) else str(error)
    console.complain(StreamfanError(f"{said}{hint}"))
    return _NOT_REACHED if isinstance(error, ServerError) else _FAILED


def _parts(subscription: Subscription[Any]) -> Iterator[str | Event | StreamfanError]:
    """What comes, errors among it; to the end, or the first error that it does not go on after."""
    one = subscription.stream is not None
    while True:
        try:
            yield from subscription
        except (StreamError, WireError) as error:
            yield error
            # Texts of two attempts are never put together; events say which attempt they are of.
            if one and not isinstance(error, HistoryTrimmed):
                return
        except ServerError as error:
            yield error
            return
        else:
            return


# Stopping


def _cancel(subscription: Subscription[Any], reason: str) -> int:
    """Ask the producer to stop, and say what became of it; the exit code."""
    # From its first event on one attempt is meant: a later one is not stopped, nor waited for.
    first = _next(subscription)
    asked = not isinstance(first, End) and subscription.cancel(reason, by=_user())
    with _explained(first.stream):
        end = _end(subscription, first)
    who = _by_whom(end)
    console.say(f"stream {end.stream!r} has ended as {end.finish_reason!r} after {end.offset:,} bytes{who}")
    return _FAILED if asked and end.finish_reason != "cancelled" else 0


@contextmanager
def _explained(stream: str) -> Iterator[None]:
    """Say why it takes its time, if it does."""
    said = (
        f"streamfan: waiting for stream {stream!r} to stop; a producer ignores who shows a wrong token\n"
        "Try: --token-file or $STREAMFAN_TOKEN, with the token that it was started with; Ctrl-C to leave"
    )
    timer = threading.Timer(_TAKES_LONG, console.say, [said])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _by_whom(end: End) -> str:
    return f": {end.cancel.reason!r}, by {visible_line(end.cancel.by)}" if end.cancel is not None else ""


def _end(subscription: Subscription[Any], event: Event) -> End:
    """The end of the stream: this event, or what comes."""
    while not isinstance(event, End):
        event = _next(subscription)
    return event


def _next(subscription: Subscription[Any]) -> Event:
    while True:
        try:
            event: Event = next(subscription)
        except HistoryTrimmed:
            # The text is not what is wanted here.
            continue
        return event


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"
