"""`streamfan tail`: follow a stream from another process, list the recent ones, or stop one."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli import console
from streamfan.errors import (
    HistoryTrimmed,
    Restarted,
    ServerError,
    StreamError,
    StreamfanError,
    UsageError,
)
from streamfan.events import End, encode, now
from streamfan.redis.address import Address
from streamfan.subscriber import subscribe
from streamfan.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from streamfan.events import Event
    from streamfan.subscriber import Subscription
    from streamfan.subscriber.recent import RecentStream

_LOCAL = "redis://localhost:6379/0"
_FAILED = 1
_NOT_REACHED = 4

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
  0  the stream has ended, and all of it was shown
  1  the stream failed, or some of it could not be had
  2  usage
  4  the server could not be reached, or refused
  130  interrupted; the stream goes on
  141  the output was closed by its reader
"""


@click.command(epilog=EPILOG)
@click.argument("stream", required=False)
@click.option("--url", metavar="URL", help=f"The Redis; $REDIS_URL unless given, else {_LOCAL}.")
@click.option("--from", "offset", type=click.IntRange(min=0), metavar="OFFSET", help="Leave out so many bytes of text.")
@click.option("--events", is_flag=True, help="Print events, one line of JSON each, instead of text.")
@click.option("--list", "listing", is_flag=True, help="List the recent streams, the latest first.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@click.option("--cancel", is_flag=True, help="Ask the producer to stop, and wait until it has; shows no text.")
@click.option("--reason", default="cancelled", show_default=True, metavar="TEXT", help="With --cancel: why.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Holds what the producer wants to be shown with --cancel; $STREAMFAN_TOKEN unless given.",
)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for a stream to begin."
)
@click.option("--prefix", default="streamfan", show_default=True, help="What the producer's keys begin with.")
def tail(stream: str | None, url: str | None, offset: int | None, prefix: str, wait: float, **how: Any) -> None:
    """Follow a stream from another process; list streams, or stop one.

    Prints the text of STREAM from its start, and then as it comes; also of one that has ended, for as long as Redis
    keeps it. Without STREAM: of every stream that begins from now on, one after the other. Leaving it, with Ctrl-C for
    example, stops nobody but this command.
    """
    address = _address(url)
    _check(stream, offset, how)
    if how["listing"]:
        _list(address, prefix, as_json=how["as_json"])
        return
    events = how["events"] or how["cancel"]
    subscription = subscribe(
        address.url,
        stream,
        offset=offset or 0,
        events=events,
        wait=wait,
        prefix=prefix,
        token=_token(how["token_file"]),
    )
    with subscription:
        sys.exit(_cancel(subscription, how["reason"]) if how["cancel"] else _follow(subscription, address))


def _check(stream: str | None, offset: int | None, how: dict[str, Any]) -> None:
    if how["cancel"] and stream is None:
        raise UsageError("--cancel needs the id of a stream\nTry: streamfan tail --list")
    if offset and stream is None:
        raise UsageError("--from needs the id of a stream\nTry: streamfan tail --list")
    if how["listing"] and (stream is not None or how["cancel"] or how["events"] or offset):
        raise UsageError(
            "--list takes no stream, and neither --cancel, --events nor --from\nTry: streamfan tail --list"
        )
    if how["as_json"] and not how["listing"]:
        raise UsageError("--json belongs to --list\nTry: --events, for JSON of a stream")


def _address(url: str | None) -> Address:
    if url is not None:
        return Address(url)
    said = os.environ.get("REDIS_URL")
    return Address(said, "$REDIS_URL") if said else Address(_LOCAL)


def _token(path: str | None) -> str | None:
    if path is None:
        return os.environ.get("STREAMFAN_TOKEN") or None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {path!r} cannot be read: {error}") from None


# Following


def _follow(subscription: Subscription[Any], address: Address) -> int:
    """Print what comes; the exit code."""
    if subscription.stream is None and console.on_terminal():
        console.say(f"streamfan: waiting for streams at {address}; Ctrl-C to leave")
    printer = _Printer()
    code = 0
    for what in _parts(subscription):
        if isinstance(what, StreamfanError):
            code = _NOT_REACHED if isinstance(what, ServerError) else _FAILED
            printer.finish_line()
            console.complain(what)
        else:
            printer.show(what, subscription.stream)
    printer.finish_line()
    return code


def _parts(subscription: Subscription[Any]) -> Iterator[str | Event | StreamfanError]:
    """What comes, errors among it; to the end, or the first error that it does not go on after."""
    one = subscription.stream is not None
    while True:
        try:
            yield from subscription
        except StreamError as error:
            yield error
            # Texts of two attempts are never put together; events say which attempt they are of.
            if one and not isinstance(error, HistoryTrimmed):
                return
        except ServerError as error:
            yield error
            return
        else:
            return


class _Printer:
    """Standard output, with what a stream says made harmless where that is a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._at_line_start = True
        self._stream: str | None = None

    def show(self, what: str | Event, stream: str | None) -> None:
        """Print a text, or an event on a line of its own; it is out when this returns."""
        text = what if isinstance(what, str) else encode(what).decode() + "\n"
        if stream != self._stream and self._stream is not None and not self._at_line_start:
            text = "\n" + text
        self._stream = stream
        self._at_line_start = text.endswith("\n")
        self._write(visible(text) if self._terminal else text)

    def finish_line(self) -> None:
        """Let what follows on a terminal begin on a line of its own."""
        if self._terminal and not self._at_line_start:
            self._at_line_start = True
            self._write("\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamfanError(f"standard output cannot be written to: {error}") from None


# Stopping


def _cancel(subscription: Subscription[Any], reason: str) -> int:
    """Ask the producer to stop, and say what became of it; the exit code."""
    try:
        subscription.cancel(reason, by=_user())
        end = _end(subscription)
    except ServerError as error:
        console.complain(error)
        return _NOT_REACHED
    who = f": {end.cancel.reason!r}, by {end.cancel.by}" if end.cancel is not None else ""
    console.say(f"stream {end.stream!r} has ended as {end.finish_reason!r} after {end.offset:,} bytes{who}")
    return 0


def _end(subscription: Subscription[Any]) -> End:
    """The end of the stream, however that comes."""
    while True:
        try:
            return next(event for event in subscription if isinstance(event, End))
        except (HistoryTrimmed, Restarted):
            # The text is not what is wanted here.
            continue


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


# Listing


def _list(address: Address, prefix: str, *, as_json: bool) -> None:
    from streamfan.subscriber.recent import recent

    try:
        found = recent(address, prefix)
    except ServerError as error:
        console.complain(error)
        sys.exit(_NOT_REACHED)
    if as_json:
        click.echo(json.dumps([_plain(stream) for stream in found], indent=2, ensure_ascii=False))
    elif found:
        click.echo("\n".join(_table([_HEADINGS, *map(_row, found)])))
    else:
        console.say(f"streamfan: no streams at {address}")


_HEADINGS = ("stream", "model", "age", "state", "bytes")


def _row(stream: RecentStream) -> tuple[str, ...]:
    return (stream.id, stream.model or "", _age(stream.opened), stream.state, f"{stream.bytes:,}")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(visible(row[column])) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = (visible(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _plain(stream: RecentStream) -> dict[str, Any]:
    return {**asdict(stream), "opened": None if stream.opened is None else stream.opened.isoformat()}


def _age(opened: datetime | None) -> str:
    if opened is None:
        return ""
    seconds = max(0, int((now() - opened).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
