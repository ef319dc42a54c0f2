"""However a run ends: the right exit code, whole text where it could be delivered, and a last line that says where not.

Beside a sink that hangs, one that raises and one that is well. What a library owes a program is in `test_lifetime.py`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.events import End, decode
from tests.support.command import TIMEOUT, TRACEBACK, read_until
from tests.support.distributions import Site
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from tests.support.command import Shell

SIGNALS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "hung up"),
]
TEXT = "partial ☕"
SIZE = len(TEXT.encode())
JSONL = ("-s", "file:out.jsonl", "-o", "file.format=jsonl")
HUNG = ("-s", "hung", "-o", "hung.lane.call_timeout=0.3")
SATED = """
    from streamfan import Sink, SinkClosed, hookimpl

    class Sated(Sink):
        name = "sated"
        def write(self, chunk):
            raise SinkClosed("enough")

    @hookimpl
    def streamfan_sinks():
        return [Sated]
"""

# Streams one after the other, of which the first have failed.
MANY = """
    def run(self, fan, request):
        for number in range({streams}):
            with fan.open(f"s{{number}}") as stream:
                stream.write("text")
                if number < {failing}:
                    stream.fail("broken")
"""


def publish(shell: Shell, *arguments: str, text: str = TEXT, **more: Any) -> subprocess.Popen[bytes]:
    """A run that has published `text` to stdout and may go on: its standard input stays open."""
    process = shell.start("run", "--source", "stdin", *arguments, **more)
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.flush()
    read_until(process.stdout, text[-8:].encode())
    return process


def ending(process: subprocess.Popen[bytes], timeout: float = 30) -> tuple[int, list[str]]:
    """The exit code, and the lines on stderr."""
    try:
        # Before its standard input is closed, which would be an end of its own.
        process.wait(timeout)
    finally:
        process.kill()
        _, stderr = process.communicate()
    said = (stderr or b"").decode()
    assert TRACEBACK not in said
    return process.returncode, said.splitlines()


def end_of(shell: Shell, name: str = "out.jsonl") -> End:
    end = decode(shell.file(name).splitlines()[-1])
    assert isinstance(end, End)
    return end


# Signals


@pytest.mark.guarantee("any sink", "shutdown")
@pytest.mark.parametrize(("number", "code", "why"), SIGNALS)
def test_signal_leaves_the_healthy_whole_and_says_what_is_missing_where(
    shell: Shell, number: signal.Signals, code: int, why: str
) -> None:
    shell.install_ill_sinks()
    process = publish(shell, *JSONL, "-s", "raising", *HUNG)

    process.send_signal(number)
    ended, said = ending(process)

    assert ended == code
    end = end_of(shell)
    assert (end.finish_reason, end.offset, end.complete) == ("cancelled", SIZE, True)
    assert end.cancel is not None
    assert (end.cancel.reason, end.cancel.by) == (why, number.name)
    assert said[-2] == f"Error: sink 'raising': ValueError: broken on purpose; {SIZE} bytes not delivered"
    assert re.fullmatch(
        rf"Error: sink 'hung': write\(\) has not returned after \d+\.\d s; {SIZE} bytes not delivered", said[-1]
    )


@pytest.mark.parametrize(("number", "code", "why"), SIGNALS)
def test_signal_without_trouble_says_nothing_of_any_sink(
    shell: Shell, number: signal.Signals, code: int, why: str
) -> None:
    process = publish(shell, *JSONL)

    process.send_signal(number)

    assert ending(process) == (code, ["", "streamfan: stopping; once more to exit at once"])


@pytest.mark.parametrize(("first", "second", "code"), [(2, 2, 130), (15, 2, 130), (2, 15, 143), (1, 1, 129)])
def test_second_signal_exits_at_once_and_says_what_is_missing_where(
    shell: Shell, first: int, second: int, code: int
) -> None:
    shell.install_ill_sinks()
    process = publish(shell, "-s", "hung", "-s", "file:out.txt")
    # What the second signal meets in the middle of its delivery may well be missing too.
    wait_until(lambda: (shell.folder / "out.txt").exists() and shell.file("out.txt") == TEXT)
    process.send_signal(first)
    read_until(process.stderr, b"stopping")
    asked = monotonic()

    process.send_signal(second)
    ended, said = ending(process)

    assert ended == code
    assert monotonic() - asked < 5, "the deadline of the first is 10 s"
    assert said[-1] == f"Error: sink 'hung': {SIZE} bytes not delivered"
    assert shell.file("out.txt") == TEXT


def test_what_is_not_delivered_is_kept_also_after_a_second_signal(shell: Shell) -> None:
    shell.install_ill_sinks()
    process = publish(shell, "-s", "hung", "-s", "file:out.txt", "--spill-dir", "kept")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"stopping")

    process.send_signal(signal.SIGINT)
    ended, said = ending(process)
    (kept,) = (shell.folder / "kept").iterdir()
    again = shell.run("replay", f"kept/{kept.name}")

    assert ended == 130
    assert said[-2].startswith("Error: sink 'hung': ")
    assert said[-2].endswith(f"{SIZE} bytes not delivered")
    assert said[-1].startswith(f"streamfan: what was not delivered is kept; try: streamfan replay kept/{kept.name} ")
    assert (again.code, again.stdout.decode()) == (0, TEXT)


def test_folder_that_takes_nothing_is_told_of_also_after_a_second_signal(shell: Shell) -> None:
    shell.install_ill_sinks()
    process = publish(shell, "-s", "hung", "--spill-dir", "kept")
    # In the way of the folder, which is made with the first recording.
    (shell.folder / "kept").write_text("")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"stopping")

    process.send_signal(signal.SIGINT)
    ended, said = ending(process)

    assert (ended, said[-1]) == (130, "Error: what was not delivered of 1 stream is not kept")


def test_second_signal_waits_for_nobody_who_does_not_read_stderr(shell: Shell) -> None:
    shell.install_ill_sinks()
    read, write = os.pipe()
    process = publish(shell, "-s", "hung", "-s", "file:out.txt", stderr=write)
    process.send_signal(signal.SIGINT)
    # Full as soon as that was said: nothing more can be written to it.
    with open(read, "rb", closefd=False) as pipe:
        read_until(pipe, b"stopping")
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    asked = monotonic()

    process.send_signal(signal.SIGINT)

    assert process.wait(10) == 130
    assert monotonic() - asked < 5
    process.communicate()
    os.close(read)
    os.close(write)


def test_hangup_that_nohup_ignores_stays_ignored(shell: Shell) -> None:
    process = publish(shell, *JSONL, script="trap '' HUP; exec \"$@\"")

    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(b" and more", timeout=30)

    assert (process.returncode, stderr) == (0, b"")
    assert end_of(shell).finish_reason == "stop"


def test_all_the_time_after_a_signal_is_used_and_no_more(shell: Shell) -> None:
    shell.install_ill_sinks()
    text = "x" * 4000
    # 1,000 calls of 50 ms each: it makes progress all the time, and never gets there.
    process = publish(shell, *JSONL, "-s", "slow:slow.txt", "-o", "slow.lane.max_bytes=4", text=text)
    asked = monotonic()

    process.send_signal(signal.SIGTERM)
    code, said = ending(process)

    assert code == 143
    assert 7 < monotonic() - asked < 15
    assert (end_of(shell).complete, end_of(shell).offset) == (True, 4000)
    got = shell.file("slow.txt")
    assert 0 < len(got) < 4000
    assert said[-1] == f"Error: sink 'slow': the time for delivery was over; {4000 - len(got):,} bytes not delivered"


# Normal ends


@pytest.mark.guarantee("any sink", "hung")
def test_hung_sink_at_a_normal_end_is_named_last_and_the_healthy_are_whole(shell: Shell) -> None:
    shell.install_ill_sinks()

    done = shell.stdin(TEXT, *JSONL, *HUNG)

    assert (done.code, done.stdout.decode()) == (3, TEXT)
    assert (end_of(shell).finish_reason, end_of(shell).complete) == ("stop", True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: sink 'hung': write() has not returned after ")
    assert last.endswith(f"; {SIZE} bytes not delivered")


def test_hung_sink_that_is_not_required_is_a_warning(shell: Shell) -> None:
    shell.install_ill_sinks()

    done = shell.stdin(TEXT, *JSONL, *HUNG, "-o", "hung.lane.required=false")

    assert (done.code, end_of(shell).complete) == (0, True)
    assert done.stderr.splitlines()[-1].startswith("Warning: sink 'hung': write() has not returned after ")


def test_streams_of_a_sink_that_hangs_are_all_kept_when_a_signal_ends_the_run(shell: Shell) -> None:
    shell.install_ill_sinks()
    shell.install_source(
        "many",
        """
        def run(self, fan, request):
            for number in range(2000):
                with fan.open(f"s{number}") as stream:
                    stream.write("text")
            print("all written", file=sys.stderr, flush=True)
            with fan.open("last") as stream:
                wait_for_cancel(stream)
        """,
    )
    with shell.start("run", "--source", "many", "-q", "-s", "hung", "--spill-dir", "spilled") as process:
        read_until(process.stderr, b"all written")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT)

    kept = list((shell.folder / "spilled").iterdir())
    assert process.returncode == 143
    assert len(kept) == 2001
    assert all(b'"type":"end"' in path.read_bytes() for path in kept)


def test_text_that_is_kept_is_told_of_after_what_is_missing(shell: Shell) -> None:
    shell.install_ill_sinks()

    done = shell.stdin(TEXT, *JSONL, *HUNG, "--spill-dir", "spilled")

    missing, kept = done.stderr.splitlines()[-2:]
    assert missing.endswith(f"; {SIZE} bytes not delivered")
    assert "streamfan replay spilled/" in kept


def test_what_is_kept_of_many_streams_is_told_of_once(shell: Shell) -> None:
    shell.install_ill_sinks()
    shell.install_source("many", MANY.format(streams=20, failing=0))

    done = shell.run("run", "--source", "many", "-q", "-s", "raising", "--spill-dir", "my spilled")

    told = [line for line in done.stderr.splitlines() if "is kept" in line]
    hint = "try: streamfan replay 'my spilled'/*.jsonl --sink ..."
    assert told == [f"streamfan: what was not delivered of 20 streams is kept; {hint}"]


# Streams that fail


@pytest.mark.parametrize(("failing", "more"), [(1, "1 stream failed"), (12, "12 streams failed")])
def test_stream_that_failed_is_not_forgotten_for_a_thousand_later_ones(shell: Shell, failing: int, more: str) -> None:
    shell.install_source("many", MANY.format(streams=2000, failing=failing))

    done = shell.run("run", "--source", "many", "-q", *JSONL)

    assert (done.code, done.stderr.splitlines()[-1]) == (1, f"Error: {more}")


def test_first_streams_that_failed_are_named_and_the_others_counted(shell: Shell) -> None:
    shell.install_source("many", MANY.format(streams=13, failing=12))

    done = shell.run("run", "--source", "many", "-q", *JSONL)

    first, *_, tenth, last = done.stderr.splitlines()
    assert done.code == 1
    assert first == "Error: stream 's0' failed: Error: broken"
    assert tenth == "Error: stream 's9' failed: Error: broken"
    assert last == "Error: 2 more streams failed"


# Closed pipes


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def test_every_output_closed_is_141_and_the_source_is_stopped(shell: Shell) -> None:
    Site(shell.site).install_sink("sated", SATED)
    write = closed_pipe()
    process = shell.start("run", "--source", "stdin", "-s", "sated", stdout=write)
    os.close(write)
    assert process.stdin is not None
    process.stdin.write(b"text")
    process.stdin.flush()

    # Standard input stays open: nothing but the closed outputs ends this.
    code = process.wait(30)

    assert (code, process.communicate()[1]) == (141, b"")


def test_outputs_closed_but_one_leave_that_one_whole(shell: Shell) -> None:
    Site(shell.site).install_sink("sated", SATED)
    out, error = closed_pipe(), closed_pipe()

    done = shell.stdin(TEXT, "-s", "sated", *JSONL, "--summary", "table", "-vv", stdout=out, stderr=error)
    os.close(out)
    os.close(error)

    assert done.code == 0
    assert (end_of(shell).finish_reason, end_of(shell).complete) == ("stop", True)


def test_every_output_closed_and_a_hung_sink_is_no_end(shell: Shell) -> None:
    shell.install_ill_sinks()
    out = closed_pipe()

    done = shell.stdin(TEXT, *HUNG, stdout=out)
    os.close(out)

    assert done.code == 3
    assert done.stderr.splitlines()[-1].endswith(f"; {SIZE} bytes not delivered")


def test_no_thread_is_left_when_the_interpreter_ends(shell: Shell) -> None:
    # A thread that waits for something there is the end of some runs in a thousand, in a crash or never.
    code = """
        import atexit, sys, threading
        atexit.register(lambda: print("left:", [thread.name for thread in threading.enumerate()], file=sys.stderr))
    """
    Site(shell.site).install("nosy", code=code, hooks={"nosy": "nosy"})

    done = shell.stdin(TEXT, *JSONL)

    assert done.code == 0
    assert done.stderr.splitlines() == ["left: ['MainThread']"]
