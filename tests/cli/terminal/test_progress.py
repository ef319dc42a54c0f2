"""`--progress` on the screen of a real terminal: live in its last line, and never in the way of the text."""

from __future__ import annotations

import os
import re
from time import sleep
from typing import TYPE_CHECKING, Self

import pytest

from tests.support.tmux import HEIGHT, WIDTH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.terminal.conftest import Start
    from tests.support.command import Shell
    from tests.support.tmux import Tmux

# More than the time between two drawings.
PAUSE = 0.3

ENDLESS = """
    def run(self, fan, request):
        with fan.open() as stream:
            stream.write("text\\n")
            wait_for_cancel(stream)
"""
DEAF = """
    def run(self, fan, request):
        with fan.open() as stream:
            stream.write("text\\n")
            wait_for_ever()
"""

LIMITED = """
    def run(self, fan, request):
        with fan.open(max_tokens=40) as stream:
            stream.write("text\\n", range(10))
            wait_for_cancel(stream)
"""


class Feed:
    """What the run reads: a pipe with a name."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "feed")
        self._path = folder / "feed"

    def __enter__(self) -> Self:
        self._pipe = self._path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()

    def write(self, text: str) -> None:
        self._pipe.write(text)
        self._pipe.flush()


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def run(start: Start, *arguments: str, script: str = '"$@" < feed') -> Tmux:
    return start("run", "--source", "stdin", "--progress", *arguments, script=script)


def path_of(shell: Shell) -> dict[str, str]:
    return {"PYTHONPATH": shell.environ({})["PYTHONPATH"]}


def test_status_is_in_the_last_line_and_the_text_above_it(start: Start, feed: Feed) -> None:
    terminal = run(start, "-s", "file:out.txt")

    with feed:
        feed.write("Once upon a time\nthere ")
        terminal.wait_until(lambda screen: "23 bytes" in screen.split("\n")[HEIGHT - 1], "the status")
        assert terminal.lines[:2] == ["Once upon a time", "there"]
        assert "stdout " in terminal.lines[-1]
        assert "file " in terminal.lines[-1]
        feed.write("was a fox.\n")
        terminal.wait("there was a fox.", "34 bytes")

    screen = terminal.wait("exit=0")
    assert screen.startswith("Once upon a time\nthere was a fox.\n")
    assert "bytes/s" not in screen


def test_text_scrolls_above_the_status_and_is_whole_afterwards(start: Start, feed: Feed) -> None:
    numbers = "".join(f"line {number}\n" for number in range(100))
    terminal = run(start, "--summary", "none")

    with feed:
        feed.write(numbers[:400])
        terminal.wait("400 bytes")
        feed.write(numbers[400:])
        terminal.wait("line 99", f"{len(numbers)} bytes")

    terminal.wait("exit=0")
    assert terminal.screen(history=True).startswith(numbers + "exit=0")


def test_text_that_fills_a_row_loses_no_character_to_the_status(start: Start, feed: Feed) -> None:
    terminal = run(start, "--summary", "none")

    with feed:
        feed.write("start\n")
        terminal.wait("6 bytes")
        for letter in "abc":
            feed.write(letter * WIDTH)
            terminal.wait(letter * WIDTH)
            sleep(PAUSE)
        feed.write("\n世" + "界" * (WIDTH // 2 - 1))
        terminal.wait("世界")
        sleep(PAUSE)
        feed.write("end\n")

    screen = terminal.wait("exit=0")
    assert screen.startswith(
        "\n".join(["start", "a" * WIDTH, "b" * WIDTH, "c" * WIDTH, "世" + "界" * (WIDTH // 2 - 1), "end", "exit=0"])
    )


def test_warnings_come_between_lines_and_leave_the_status_where_it_is(start: Start, feed: Feed) -> None:
    terminal = run(start, "-v", "-s", "webhook:http://127.0.0.1:9/", "-o", "webhook.lane.required=false")

    with feed:
        feed.write("text\n")
        terminal.wait_until(lambda screen: "5 bytes" in screen.split("\n")[HEIGHT - 1], "the status")
        terminal.wait("webhook")

    screen = terminal.wait("exit=")
    assert "bytes/s" not in screen


@pytest.mark.parametrize("times", [1, 2])
def test_terminal_is_whole_after_an_interrupt(start: Start, shell: Shell, times: int) -> None:
    shell.install_source("endless", ENDLESS if times == 1 else DEAF)
    terminal = start(
        "run", "--source", "endless", "--progress", script='"$@"; echo code=$?; seq 100', env=path_of(shell)
    )

    terminal.wait("5 bytes")
    terminal.press("C-c")
    if times == 2:
        terminal.wait("once more to exit at once")
        terminal.press("C-c")

    # The last line scrolls with the others again.
    terminal.wait("exit=0")
    assert terminal.lines[-3:-1] == ["100", "exit=0"]
    assert "code=130" in terminal.screen(history=True)
    assert "bytes/s" not in terminal.screen(history=True)


def test_tokens_are_counted_against_the_most_there_can_be(start: Start, shell: Shell) -> None:
    shell.install_source("limited", LIMITED)
    terminal = start("run", "--source", "limited", "--progress", env=path_of(shell))

    # The bar comes once the numbers before it leave room.
    terminal.wait("━  10 of 40 tokens  ", " tokens/s  first after 0.", "  stdout ")

    terminal.press("C-c")
    terminal.wait("exit=130")


def test_no_color_is_obeyed(start: Start, feed: Feed) -> None:
    terminal = start("run", "--source", "stdin", "--progress", script='NO_COLOR=1 "$@" < feed')

    with feed:
        feed.write("text\n")
        terminal.wait("5 bytes")
        status = terminal.screen(styles=True).split("\n")[HEIGHT - 1]

    assert "5 bytes" in status
    # 39 and 49 are the colours that a terminal has anyway.
    assert not re.search(r"\x1b\[[34][0-8]", status)


def test_terminal_without_commands_gets_plain_lines(start: Start, feed: Feed) -> None:
    terminal = start("run", "--source", "stdin", "--progress", script='TERM=dumb "$@" < feed')

    with feed:
        feed.write("text\n")
        terminal.wait("text")

    terminal.wait(": 5 bytes, ", "exit=0")


def test_terminal_that_does_not_know_its_width_loses_no_text(start: Start, feed: Feed) -> None:
    terminal = run(start, "-o", "progress.every=0.1s", script='stty cols 0; "$@" < feed')

    with feed:
        feed.write("Once upon a time\n")
        terminal.wait("Once upon a time", "17 bytes")
        feed.write("there was a fox.\n")

    assert "there was a fox." in terminal.wait("exit=0")
