from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import SinkClosed, SpecError
from streamfan.options import LaneOptions
from streamfan.sink import Delivery
from streamfan.sinks import stdout
from streamfan.sinks.stdout import StdoutOptions, StdoutSink
from tests.support.deliveries import chunks, deliver, ending
from tests.support.limits import largest_file, next_descriptor
from tests.support.sinks import DEADLINE
from tests.support.standard_output import OutputFile, connected
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD = "naïve 日本語 👩\u200d🚒\x1b[31m\r\x00\u202e"


class Pipe:
    """A pipe that standard output goes into."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.stream = os.fdopen(write_end, "w", encoding="utf-8")

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.read_end, size - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that somebody reads."""
    pipe = Pipe()
    with pipe.stream:
        yield pipe
    os.close(pipe.read_end)


@pytest.fixture
def closed_pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads any more."""
    pipe = Pipe()
    os.close(pipe.read_end)
    with pipe.stream:
        yield pipe


class Terminal:
    """A terminal that standard output goes to."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")

    def shown(self) -> str:
        os.write(self.stream.fileno(), b"\0")
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self._master, 4096)
        return data[:-1].decode()

    def close(self) -> None:
        os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    with terminal.stream:
        yield terminal
    terminal.close()


def test_module_offers_its_sink() -> None:
    (sink,) = stdout.streamfan_sinks()

    assert (sink.name, sink.delivery) == ("stdout", Delivery.AT_MOST_ONCE)
    assert sink.lane_defaults == LaneOptions(linger=0.0, sequential=True)


def test_every_option_is_described() -> None:
    assert all(field.description for field in StdoutOptions.model_fields.values())


def test_target_is_refused() -> None:
    with pytest.raises(SpecError, match=r"takes no target, got 'a\.txt'\nTry: stdout, or file:PATH"):
        StdoutSink("a.txt")


# What is not a terminal


def test_bytes_of_a_single_stream_are_its_own(output_file: OutputFile) -> None:
    deliver(connected(output_file.stream), *ODD)

    assert output_file.content == ODD


def test_each_chunk_is_out_when_write_returns(output_file: OutputFile) -> None:
    sink = connected(output_file.stream)
    first, second = chunks(info(), "Hel", "lo")

    sink.open(first.stream)
    sink.write(first)
    after_first = output_file.content
    sink.write(second)

    assert (after_first, output_file.content) == ("Hel", "Hello")


def test_stream_begins_on_a_line_of_its_own(output_file: OutputFile) -> None:
    sink = connected(output_file.stream)

    deliver(sink, "first", " text")
    deliver(sink)
    deliver(sink, "second\n")
    deliver(sink, "third")

    assert output_file.content == "first text\nsecond\nthird"


def test_what_was_printed_before_a_stream_comes_before_it(output_file: OutputFile) -> None:
    sink = connected(output_file.stream)

    output_file.stream.write("printed ")
    deliver(sink, "streamed")

    assert output_file.content == "printed streamed"


@pytest.mark.parametrize("blocking", [True, False])
def test_text_larger_than_a_pipe_arrives_whole(pipe: Pipe, blocking: bool) -> None:
    # Another program that has the same pipe may have made it non-blocking.
    os.set_blocking(pipe.stream.fileno(), blocking)
    text = "0123456789abcdé" * 100_000
    writer = threading.Thread(target=deliver, args=(connected(pipe.stream), text))
    writer.start()

    got = pipe.read(len(text.encode()))
    writer.join(DEADLINE)

    assert not writer.is_alive()
    assert got.decode() == text


@pytest.mark.guarantee("stdout", "disk full")
def test_text_that_a_full_disk_cut_off_goes_on_where_it_stopped(output_file: OutputFile) -> None:
    sink = connected(output_file.stream)
    first, second = chunks(info(), "Noël und Zoë", " schlafen")
    sink.open(first.stream)

    with largest_file(5), pytest.raises(OSError, match="too large"):
        sink.write(first)
    torn = output_file.content
    held = sink.open(first.stream)
    sink.write(second)

    assert torn == "Noël"
    assert held == first.end
    assert output_file.content == "Noël und Zoë schlafen"


def test_text_that_a_full_disk_cut_off_comes_before_that_of_another_stream(output_file: OutputFile) -> None:
    sink = connected(output_file.stream)
    (first,), (second,) = chunks(info("a"), "first"), chunks(info("b"), "second")
    sink.open(first.stream)
    sink.open(second.stream)

    with largest_file(3), pytest.raises(OSError, match="too large"):
        sink.write(first)
    sink.write(second)

    assert output_file.content == "first\nsecond"


def test_full_device_is_an_error_that_a_lane_retries() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, pytest.raises(OSError, match="No space left") as caught:
        deliver(connected(full), "lost")

    assert caught.value.errno == errno.ENOSPC


# A closed pipe


def test_closed_pipe_ends_the_lane(closed_pipe: Pipe) -> None:
    sink = connected(closed_pipe.stream)

    with pytest.raises(SinkClosed):
        deliver(sink, "x")


def test_closed_pipe_is_noticed_by_what_was_printed(closed_pipe: Pipe) -> None:
    sink = connected(closed_pipe.stream)
    closed_pipe.stream.write("printed")

    with pytest.raises(SinkClosed):
        sink.open(info())


def test_after_a_closed_pipe_standard_output_leads_nowhere(closed_pipe: Pipe) -> None:
    sink = connected(closed_pipe.stream)
    free = next_descriptor()

    with pytest.raises(SinkClosed):
        deliver(sink, "x")
    closed_pipe.stream.write("printed")
    closed_pipe.stream.flush()

    assert os.fstat(closed_pipe.stream.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
    assert next_descriptor() == free


CLOSED_PIPE = """
import signal
from streamfan.errors import SinkClosed
from streamfan.sinks.stdout import StdoutSink
from tests.support.deliveries import deliver

before = signal.getsignal(signal.SIGPIPE)
sink = StdoutSink()
sink.connect()
print("printed before")
try:
    deliver(sink, "x")
except SinkClosed:
    print("printed after")
assert signal.getsignal(signal.SIGPIPE) is before
"""


def test_program_with_a_closed_pipe_exits_in_silence() -> None:
    # Buffered: what was printed waits until the program flushes it, at its exit at the latest.
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    read_end, write_end = os.pipe()
    os.close(read_end)
    with subprocess.Popen(
        [sys.executable, "-c", CLOSED_PIPE], env=environment, stdout=write_end, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(write_end)
        _, errors = process.communicate(timeout=DEADLINE)

    assert (process.returncode, errors) == (0, "")


# A terminal


def test_control_characters_are_shown_on_a_terminal(terminal: Terminal) -> None:
    deliver(connected(terminal.stream), "a\x1b", "[31mb\x9b", "2J\r\t\u202e", "\n")

    assert terminal.shown() == "a␛[31mb\\x9b2J␍\t\\u202e\n"


def test_option_raw_leaves_control_characters_as_they_are(terminal: Terminal) -> None:
    deliver(connected(terminal.stream, raw=True), "a\x1b[31mb\r\n")

    assert terminal.shown() == "a\x1b[31mb\r\n"


@pytest.mark.parametrize(("text", "shown"), [("Hello", "Hello\n"), ("Hello\n", "Hello\n"), ("", "")])
def test_unfinished_line_is_finished_on_a_terminal(terminal: Terminal, text: str, shown: str) -> None:
    deliver(connected(terminal.stream), *text)

    assert terminal.shown() == shown


def test_closing_again_after_a_failure_finishes_the_line_once(terminal: Terminal) -> None:
    sink = connected(terminal.stream)
    stream = deliver(sink, "Hello")

    sink.open(stream)
    sink.close(stream, ending(stream, "Hello"))

    assert terminal.shown() == "Hello\n"
