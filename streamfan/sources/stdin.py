"""Whatever another program prints: `llm 'a joke' | streamfan run --source stdin`.

The text is published as it arrives; a character whose bytes arrive in parts waits for the last of them.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import socket
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from streamfan.detokenize import StopStrings
from streamfan.errors import SourceError, StreamEnded, UsageError
from streamfan.hookspecs import hookimpl
from streamfan.source import Source, SourceOptions
from streamfan.sources.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streamfan.fan import Fan
    from streamfan.source import Request
    from streamfan.stream import Stream

# The file descriptor itself: what Python's own buffer has read is late, and cannot be waited for.
_STDIN = 0
_BLOCK = 64 * 1024
# How much text is kept that all sinks have taken: for those whose destination loses some, and that are added later.
_KEEP = 16 * 1024 * 1024
# Milliseconds between looks whether all is to stop, while there is no stream that would say so.
_LOOK = 100


class StdinOptions(SourceOptions):
    """The options of the `stdin` source."""

    split: Literal["line"] | None = Field(
        default=None, description="line: each line, with its end, is a stream of its own."
    )


class StdinSource(Source):
    """Publishes standard input as one stream, or as one for each line; bytes that are no UTF-8 as U+FFFD.

    A stream ends as `stop` at the end of the input or at a stop string, and as `cancelled` where somebody asked for
    it, also while no input comes. Of a line the rest is dropped then, and the next one follows.
    """

    name = "stdin"
    accepts = frozenset({"stop"})
    Options = StdinOptions
    options: StdinOptions

    def __init__(self, target: str | None = None, options: StdinOptions | None = None) -> None:
        super().__init__(target, options)

    def load(self, request: Request) -> None:
        """Publishes nothing.

        Raises:
            UsageError: There is no standard input, or it is a folder.
        """
        # Where Python found it closed, another file may have its number by now.
        if sys.stdin is None:
            raise UsageError("source 'stdin' has nothing to read: standard input is closed")
        if stat.S_ISDIR(os.fstat(_STDIN).st_mode):
            raise UsageError("source 'stdin' has nothing to read: standard input is a folder")
        if fcntl.fcntl(_STDIN, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            raise UsageError("source 'stdin' has nothing to read: standard input can only be written to")

    def run(self, fan: Fan, request: Request) -> None:
        """Publishes standard input, to its end.

        Raises:
            SourceError: It cannot be read any further, and no line has begun.
        """
        if self.options.split == "line":
            Lines(fan, request.stop).publish(_texts(_read(lambda: fan.cancelled)))
            return
        with fan.open() as stream, _alarm(stream) as alarm:
            try:
                blocks = _read(lambda: stream.cancelled is not None, alarm)
                _publish(stream, _freeing(fan, stream, blocks), StopStrings(request.stop))
            except StreamEnded:
                # Somebody else ended it: nobody is left to read for.
                return
            except OSError as error:
                stream.fail(SourceError(f"standard input cannot be read any further: {error}"))


def _freeing(fan: Fan, stream: Stream, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same blocks; input without an end needs no more and more memory."""
    for block in blocks:
        yield block
        fan.forget(stream, keep=_KEEP)


def _publish(stream: Stream, blocks: Iterable[bytes], stops: StopStrings) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for block in blocks:
        stream.write(stops.push(decoder.decode(block)))
        if stops.matched is not None:
            return
    # Of a character that a cancellation has cut off nobody knows whether it is broken.
    rest = decoder.decode(b"", final=stream.cancelled is None)
    stream.write(stops.push(rest) + stops.finish())


def _texts(blocks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for block in blocks:
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _read(unwanted: Callable[[], bool], alarm: socket.socket | None = None) -> Iterator[bytes]:
    """What can be read at a time, until there is no more or nobody wants it.

    Args:
        unwanted: Whether that is so; asked when something has come, when the alarm goes off, and now and then.
    """
    poll = select.poll()
    poll.register(_STDIN, select.POLLIN)
    if alarm is not None:
        poll.register(alarm, select.POLLIN)
    while True:
        ready = poll.poll(None if alarm is not None else _LOOK)
        if unwanted():
            return
        if not ready:
            continue
        try:
            block = os.read(_STDIN, _BLOCK)
        except BlockingIOError:
            # Another reader of the same pipe or terminal was faster.
            continue
        if not block:
            return
        yield block


@contextmanager
def _alarm(stream: Stream) -> Iterator[socket.socket]:
    """A socket that can be read from once somebody has asked `stream` to stop."""
    here, there = socket.socketpair()

    def ring() -> None:
        # A socket and not a bare pipe: once closed, it cannot be taken for another file that got its number.
        with suppress(OSError):
            there.send(b"!")

    with here, there:
        stream.on_cancel(ring)
        yield here


@hookimpl
def streamfan_sources() -> tuple[type[Source], ...]:
    """The source of this module."""
    return (StdinSource,)
