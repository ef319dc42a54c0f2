"""Where standard output really goes: a descriptor, or an object that only looks like a file."""

from __future__ import annotations

import io
import os
import select
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, SinkClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


class Output(ABC):
    """Somewhere that UTF-8 goes to; what was written is out when the call returns.

    Attributes:
        terminal: Whether a person looks at it.
    """

    terminal: bool

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write `data`, which holds whole characters, and what is left of earlier calls before it.

        Raises:
            SinkClosed: Nobody reads it any more.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what calls that raised have left; raises what `write` raises."""

    @abstractmethod
    def flush_printed(self) -> None:
        """Let out what the program itself has printed so far, so that it comes before what is written next."""


class DescriptorOutput(Output):
    """A file descriptor: bytes go there as they are, past the encoding that the locale asks for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = stream.fileno()
        self._rest = memoryview(b"")
        self.terminal = os.isatty(self._descriptor)

    def write(self, data: bytes) -> None:
        self._rest = memoryview(bytes(self._rest) + data)
        self.finish()

    def finish(self) -> None:
        try:
            while self._rest:
                self._write_some()
        except (BrokenPipeError, ConnectionResetError):
            self._turn_away()

    def flush_printed(self) -> None:
        try:
            self._stream.flush()
        except BlockingIOError:
            # The reader is slow; what was printed stays in its buffer, and gets out with what is printed next.
            return
        except (BrokenPipeError, ConnectionResetError):
            self._turn_away()

    def _write_some(self) -> None:
        try:
            self._rest = self._rest[os.write(self._descriptor, self._rest) :]
        except BlockingIOError:
            # Another program that has the same pipe or terminal has made it non-blocking.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()

    def _turn_away(self) -> None:
        self._rest = memoryview(b"")
        # Python flushes sys.stdout when it exits, and would complain about the same pipe once more.
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, self._descriptor)
        os.close(null)
        raise SinkClosed("standard output is not read any more") from None


class TextOutput(Output):
    """An object with a `write` method: a notebook's, an editor's, a test's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.terminal = hasattr(stream, "isatty") and stream.isatty()

    def write(self, data: bytes) -> None:
        # What the encoding lacks is shown as an escape: an error would cost the whole text.
        text = data.decode().encode(self._encoding, "backslashreplace").decode(self._encoding)
        with _final():
            self._stream.write(text)
        self.flush_printed()

    def finish(self) -> None:
        """Nothing is ever left: what was given is out, or lost."""

    def flush_printed(self) -> None:
        if hasattr(self._stream, "flush"):
            with _final():
                self._stream.flush()


@contextmanager
def _final() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, ConnectionResetError):
        raise SinkClosed("sys.stdout is not read any more") from None
    except OSError as error:
        # How much of the text is out cannot be known, and none may be there twice.
        raise Permanent(f"sys.stdout cannot be written to: {error}") from error


def output_of(stream: TextIO | None) -> Output:
    """Where to write so that it appears where `stream`, the `sys.stdout` of this moment, appears.

    Raises:
        Permanent: It is closed.
    """
    # rich stands in for sys.stdout while it shows progress, and would hold every line back until it is complete.
    stream = getattr(stream, "rich_proxied_file", stream)
    if stream is None or getattr(stream, "closed", False):
        raise Permanent("standard output is closed")
    # Only Python's own class: in a notebook, fileno() is that of the terminal which the notebook's server runs in.
    if not isinstance(stream, io.TextIOWrapper):
        return TextOutput(stream)
    try:
        return DescriptorOutput(stream)
    except io.UnsupportedOperation:
        return TextOutput(stream)
