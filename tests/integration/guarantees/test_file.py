"""Whatever is done to one file, the one beside it has every byte."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.command import end_of
from tests.support.faults import injects
from tests.support.reader import held
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from tests.support.command import Shell
    from tests.support.reader import Reader

# More than any pipe takes that nobody reads.
TEXT = "".join(f"{number}: über 狐 und 😀\n" for number in range(10_000))
BOTH = ("-q", "-s", "file:pipe", "-s", "healthy=file:healthy.txt")


def pipe_in(shell: Shell) -> Reader:
    """Somebody who has opened a named pipe and does not read from it."""
    os.mkfifo(shell.folder / "pipe")
    return held(lambda: os.open(shell.folder / "pipe", os.O_RDONLY))


def is_whole(shell: Shell) -> bool:
    path = shell.folder / "healthy.txt"
    return path.exists() and path.read_bytes() == TEXT.encode()


@pytest.mark.guarantee("file", "slow")
def test_slow_reader_of_a_named_pipe_gets_everything_and_holds_up_nobody(shell: Shell) -> None:
    with pipe_in(shell) as reader, shell.running(*BOTH, text=TEXT) as process:
        wait_until(lambda: is_whole(shell))
        before = reader.received
        reader.go_on()
        done = end_of(process)

    assert (done.code, done.stderr) == (0, "")
    assert before == b""
    assert reader.received.decode() == TEXT


@pytest.mark.guarantee("file", "hung")
def test_named_pipe_that_nobody_reads_is_given_up_and_what_it_lacks_is_told(shell: Shell) -> None:
    with pipe_in(shell), shell.running(*BOTH, "-o", "file.lane.call_timeout=0.3", text=TEXT) as process:
        done = end_of(process)

    assert (done.code, is_whole(shell)) == (3, True)
    assert re.search(
        r"^Error: sink 'file': write\(\) has not returned after .* bytes not delivered$", done.stderr.splitlines()[-1]
    )


@pytest.mark.guarantee("file", "refused")
def test_directory_that_is_not_there_costs_no_generation(shell: Shell) -> None:
    folder = shell.folder / "folder"
    folder.mkdir()
    injects(folder.rmdir)()

    done = shell.stdin(TEXT, "-s", "file:folder/out.txt")

    assert (done.code, done.stdout) == (4, b"")
    assert done.stderr.splitlines()[-1] == "Try: mkdir -p folder"
