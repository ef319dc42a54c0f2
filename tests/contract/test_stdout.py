"""The contract kit on the stdout sink: through a pipe, and through an object that only looks like a file."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import sys
import termios
import threading
from functools import partial
from typing import TYPE_CHECKING, TextIO

import pytest

from streamfan.sinks.stdout import StdoutSink
from streamfan.testing import MakeSink, Received, SinkContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pipe:
    """A pipe that somebody reads."""

    def __init__(self) -> None:
        self._end, writing = os.pipe()
        self.stream = open(writing, "w", encoding="ascii")  # noqa: SIM115, PTH123 - closed in close()
        self._got = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            # Whoever holds the lock and finds the pipe empty knows that all that was written has been got.
            with self._lock:
                if self._waiting and not self._take():
                    return
            threading.Event().wait(0.001)

    @property
    def _waiting(self) -> bool:
        if self.stream.closed:
            return True
        return int.from_bytes(fcntl.ioctl(self._end, termios.FIONREAD, b"\0" * 4), sys.byteorder) > 0

    def _take(self) -> bool:
        data = os.read(self._end, 1 << 16)
        self._got += data
        return bool(data)

    def text(self) -> str:
        """All that has been written to it."""
        with self._lock:
            while self._waiting:
                self._take()
            return self._got.decode()

    def close(self) -> None:
        self.stream.close()
        self._thread.join()
        os.close(self._end)


def _with_stdout(output: TextIO, monkeypatch: pytest.MonkeyPatch) -> StdoutSink:
    # Only now: between the set-up of a test and the test, pytest puts its own in place.
    monkeypatch.setattr(sys, "stdout", output)
    return StdoutSink()


class TestPipe(SinkContract):
    """Standard output is a pipe, and the locale knows ASCII only."""

    tells_streams_apart = False

    @pytest.fixture
    def pipe(self) -> Iterator[Pipe]:
        pipe = Pipe()
        yield pipe
        pipe.close()

    @pytest.fixture
    def sink(self, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> MakeSink:
        return partial(_with_stdout, pipe.stream, monkeypatch)

    @pytest.fixture
    def received(self, pipe: Pipe) -> Received:
        return lambda stream: pipe.text()


class TestText(SinkContract):
    """Standard output has no descriptor, as in a notebook."""

    tells_streams_apart = False

    @pytest.fixture
    def output(self) -> io.StringIO:
        return io.StringIO(newline="")

    @pytest.fixture
    def sink(self, output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> MakeSink:
        return partial(_with_stdout, output, monkeypatch)

    @pytest.fixture
    def received(self, output: io.StringIO) -> Received:
        return lambda stream: output.getvalue()


def test_a_program_that_plays_to_stdout_prints_the_text_and_nothing_else() -> None:
    code = "from streamfan.testing import play; play('Größe\\n\\0 end', 'stdout').raise_for_failures()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=50, check=False)

    assert (done.stdout, done.stderr, done.returncode) == ("Größe\n\0 end".encode(), b"", 0)
