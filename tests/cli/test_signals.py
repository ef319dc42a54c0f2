"""Ctrl-C and SIGTERM: the text so far is kept, its end says who stopped it, and so does the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

import pytest

from streamfan.events import End, decode
from tests.support.command import TRACEBACK, Shell, read_until
from tests.support.distributions import Site

JSONL = ("-s", "file:out.jsonl", "-o", "file.format=jsonl")
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

# Its end takes long enough for a source to notice it.
RELUCTANT = """
    import threading
    from streamfan import Sink, hookimpl

    class Reluctant(Sink):
        name = "reluctant"
        def write(self, chunk): ...
        def close(self, stream, end):
            threading.Event().wait(0.5)

    @hookimpl
    def streamfan_sinks():
        return [Reluctant]
"""


def start_and_publish(shell: Shell, *arguments: str, text: str = "partial", **more: Any) -> subprocess.Popen[bytes]:
    """Start a run that has published this text from its standard input, which stays open."""
    process = shell.start("run", "--source", "stdin", *arguments, **more)
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.flush()
    read_until(process.stdout, text.encode())
    return process


def ending(process: subprocess.Popen[bytes], text: bytes | None = None) -> tuple[int, str]:
    """Its exit code, and what it said on stderr."""
    try:
        _, stderr = process.communicate(text, timeout=25)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert TRACEBACK not in (stderr or b"").decode()
    return process.returncode, (stderr or b"").decode()


def last_event(shell: Shell) -> End:
    end = decode(shell.file("out.jsonl").splitlines()[-1])
    assert isinstance(end, End)
    return end


@pytest.mark.parametrize(("number", "code"), CODES)
def test_first_signal_stops_the_source_and_keeps_the_text(shell: Shell, number: signal.Signals, code: int) -> None:
    process = start_and_publish(shell, *JSONL)

    process.send_signal(number)
    process.wait(30)

    assert process.returncode == code
    end = last_event(shell)
    assert (end.finish_reason, end.offset, end.complete) == ("cancelled", 7, True)
    assert end.cancel is not None
    assert end.cancel.by == number.name
    process.communicate()


def test_source_that_does_not_stop_leaves_time_for_the_sinks(shell: Shell) -> None:
    shell.install_source(
        "stuck",
        """
        def run(self, fan, request):
            with fan.open() as stream:
                stream.write("partial")
                wait_for_ever()
        """,
    )
    process = shell.start("run", "--source", "stuck", "--summary", "json", *JSONL)
    read_until(process.stdout, b"partial")

    process.send_signal(signal.SIGINT)
    code, stderr = ending(process)

    assert code == 130, stderr
    assert (last_event(shell).finish_reason, last_event(shell).complete) == ("cancelled", True)
    assert "Error" not in stderr
    assert stderr.count('"complete": true') == 2


def test_source_that_fails_after_it_was_given_up_changes_nothing(shell: Shell) -> None:
    shell.install_source(
        "awoken",
        """
        def run(self, fan, request):
            ended = threading.Event()
            stream = fan.open()
            stream.on_end(ended.set)
            stream.write("partial")
            ended.wait()
            stream.write("too late")
        """,
    )
    Site(shell.site).install_sink("reluctant", RELUCTANT)
    process = shell.start("run", "--source", "awoken", "-s", "reluctant")
    read_until(process.stdout, b"partial")

    process.send_signal(signal.SIGINT)
    code, stderr = ending(process)

    assert (code, "Error" in stderr) == (130, False), stderr


def test_signal_while_the_model_loads_waits_for_nothing(shell: Shell) -> None:
    shell.install_source(
        "loading",
        """
        def load(self, request):
            print("loading", file=sys.stderr, flush=True)
            wait_for_ever()
        """,
    )
    process = shell.start("run", "--source", "loading")
    read_until(process.stderr, b"loading")

    process.send_signal(signal.SIGTERM)

    assert ending(process)[0] == 143


def test_signal_before_the_stream_is_open_stops_it_too(shell: Shell) -> None:
    shell.install_source(
        "late",
        """
        def run(self, fan, request):
            print("not open yet", file=sys.stderr, flush=True)
            sys.stdin.readline()
            with fan.open() as stream:
                stream.write("partial")
                wait_for_cancel(stream)
        """,
    )
    process = shell.start("run", "--source", "late", *JSONL)
    read_until(process.stderr, b"not open yet")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"stopping")

    code, stderr = ending(process, b"open it\n")

    assert code == 130, stderr
    end = last_event(shell)
    assert end.cancel is not None
    assert (end.finish_reason, end.cancel.by, end.offset) == ("cancelled", "SIGINT", 7)


def test_source_that_fails_when_it_is_stopped_has_failed(shell: Shell) -> None:
    shell.install_source(
        "sore",
        """
        def run(self, fan, request):
            with fan.open() as stream:
                stream.write("partial")
                wait_for_cancel(stream)
                raise ValueError("not like that")
        """,
    )
    process = shell.start("run", "--source", "sore", *JSONL)
    read_until(process.stdout, b"partial")

    process.send_signal(signal.SIGINT)
    code, stderr = ending(process)

    assert (code, last_event(shell).finish_reason) == (1, "error")
    assert "ValueError: not like that" in stderr


def test_signal_sets_a_deadline_that_a_hung_sink_cannot_outlast(shell: Shell) -> None:
    shell.install_ill_sinks()
    process = start_and_publish(shell, "-s", "hung", "-s", "file:out.txt")

    process.send_signal(signal.SIGINT)
    code, stderr = ending(process)  # the lane's own patience is 30 s and more

    assert code == 130
    assert "sink 'hung'" in stderr
    assert shell.file("out.txt") == "partial"


def test_second_signal_exits_at_once(shell: Shell) -> None:
    shell.install_ill_sinks()
    process = start_and_publish(shell, "-s", "hung")

    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"stopping")
    process.send_signal(signal.SIGINT)

    assert process.wait(5) == 130
    process.communicate()


def test_signal_that_a_background_job_ignores_stays_ignored(shell: Shell) -> None:
    process = start_and_publish(shell, "-s", "file:out.txt", script="trap '' INT; exec \"$@\"")

    process.send_signal(signal.SIGINT)
    code, stderr = ending(process, b" and the rest")

    assert (code, stderr, shell.file("out.txt")) == (0, "", "partial and the rest")


@pytest.mark.parametrize(("number", "code"), CODES)
def test_signal_counts_also_where_nobody_reads_what_is_said_of_it(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    read, write = os.pipe()
    process = start_and_publish(shell, "-s", "file:out.txt", stderr=write)
    os.close(write)
    os.close(read)

    process.send_signal(number)

    assert ending(process)[0] == code
    assert shell.file("out.txt") == "partial"


def test_signal_counts_also_where_stderr_is_a_pipe_that_is_full(shell: Shell) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    process = start_and_publish(shell, "-s", "file:out.txt", "--summary", "json", "-vv", stderr=write)

    process.send_signal(signal.SIGINT)

    assert ending(process)[0] == 130
    assert shell.file("out.txt") == "partial"
    os.close(read)
    os.close(write)


def test_what_is_said_of_a_signal_gets_into_no_file_where_stderr_is_closed(shell: Shell) -> None:
    process = start_and_publish(shell, "-s", "file:out.txt", script='exec "$@" 2>&-')

    process.send_signal(signal.SIGINT)

    assert ending(process)[0] == 130
    assert shell.file("out.txt") == "partial"
