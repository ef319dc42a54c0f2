"""Whatever is done to standard output, the file beside it has every byte."""

from __future__ import annotations

import os
import pty
import re
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.command import end_of, read_until, write
from tests.support.faults import full_device, injects, kill, switched_off
from tests.support.reader import held
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from tests.support.command import Shell

# More than any pipe takes that nobody reads.
TEXT = "".join(f"{number}: über 狐 und 😀\n" for number in range(10_000))
HEALTHY = ("-s", "healthy=file:healthy.txt")
NOT_OPEN = 'exec "$@"' if switched_off() else 'exec "$@" >&-'


def is_whole(shell: Shell, text: str = TEXT) -> bool:
    path = shell.folder / "healthy.txt"
    return path.exists() and path.read_bytes() == text.encode()


@pytest.mark.guarantee("stdout", "slow")
def test_slow_reader_of_stdout_gets_everything_and_holds_up_nobody(shell: Shell) -> None:
    read_end, write_end = os.pipe()
    with held(lambda: read_end) as reader, shell.running(*HEALTHY, stdout=write_end, text=TEXT) as process:
        os.close(write_end)
        wait_until(lambda: is_whole(shell))
        before = reader.received
        reader.go_on()
        done = end_of(process)

    assert (done.code, done.stderr) == (0, "")
    assert before == b""
    assert reader.received.decode() == TEXT


@pytest.mark.guarantee("stdout", "hung")
def test_reader_of_stdout_that_never_reads_is_given_up_and_what_it_lacks_is_told(shell: Shell) -> None:
    read_end, write_end = os.pipe()
    impatient = ("-o", "stdout.lane.call_timeout=0.3")
    with held(lambda: read_end), shell.running(*HEALTHY, *impatient, stdout=write_end, text=TEXT) as process:
        os.close(write_end)
        done = end_of(process)

    assert (done.code, is_whole(shell)) == (3, True)
    assert re.search(
        r"^Error: sink 'stdout': write\(\) has not returned after .* bytes not delivered$", done.stderr.splitlines()[-1]
    )


@pytest.mark.guarantee("stdout", "raising")
def test_terminal_that_is_gone_fails_stdout_alone(shell: Shell) -> None:
    near, terminal = pty.openpty()
    hang_up = injects(os.close)
    with (
        os.fdopen(near, "rb", buffering=0, closefd=False) as shown,
        shell.running(*HEALTHY, stdout=terminal, text="before\n") as process,
    ):
        os.close(terminal)
        read_until(shown, b"before")
        hang_up(near)
        write(process, "after\n")
        done = end_of(process)

    assert (done.code, is_whole(shell, "before\nafter\n")) == (3, True)
    assert "sink 'stdout': " in done.stderr.splitlines()[-1]


@pytest.mark.guarantee("stdout", "killed")
def test_reader_of_stdout_that_is_killed_is_no_failure_and_the_others_are_whole(shell: Shell) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        with shell.running(*HEALTHY, "--summary", "json", stdout=reader.stdin, text="before\n") as process:
            reader.stdin.close()
            wait_until(lambda: is_whole(shell, "before\n"))
            kill(reader)
            write(process, TEXT)
            done = end_of(process)

    assert (done.code, is_whole(shell, "before\n" + TEXT)) == (0, True)
    assert done.summary["sinks"][0]["left"]


@pytest.mark.guarantee("stdout", "disk full")
def test_full_disk_under_stdout_fails_stdout_alone_and_what_it_lacks_is_told(shell: Shell) -> None:
    with full_device().open("wb") as full:
        done = shell.stdin("text", *HEALTHY, "-o", "stdout.lane.max_elapsed=0.3", stdout=full)

    assert (done.code, is_whole(shell, "text")) == (3, True)
    assert re.fullmatch("Error: sink 'stdout': .*No space left.*; 4 bytes not delivered", done.stderr.splitlines()[-1])


@pytest.mark.guarantee("stdout", "refused")
def test_stdout_that_is_not_open_costs_no_generation(shell: Shell) -> None:
    done = end_of(shell.start("run", "--source", "stdin", *HEALTHY, script=NOT_OPEN))

    assert done.code == 4
    assert done.stderr.splitlines()[-1] == "Error: sink 'stdout': standard output is closed"


@pytest.mark.guarantee("stdout", "reset in the middle")
def test_connection_as_stdout_that_is_reset_is_no_failure_and_the_others_are_whole(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far, shell.running(*HEALTHY, "--summary", "json", stdout=near, text="before\n") as process:
            near.close()
            assert far.recv(7) == b"before\n"
            reset(far)
            write(process, "after\n")
            wait_until(lambda: is_whole(shell, "before\nafter\n"))
            write(process, "later\n")
            done = end_of(process)

    assert (done.code, is_whole(shell, "before\nafter\nlater\n")) == (0, True)
    assert done.summary["sinks"][0]["left"]


@injects
def reset(connection: socket.socket) -> None:
    # Without lingering, closing is a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
