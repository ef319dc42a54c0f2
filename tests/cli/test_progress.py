"""`--progress` and `Fan("progress")` where stderr is no terminal: plain lines, and the text on stdout as it is."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from streamfan import Fan
from streamfan.errors import UsageError
from tests.support.command import Shell

LINE = re.compile(r"streamfan: \S+: 9 bytes(, [\d,]+ bytes/s)?, first after \d+\.\d\d s, stop; behind: (stdout|file) ")


def test_stderr_gets_a_plain_line_at_the_end(shell: Shell) -> None:
    done = shell.stdin("some text", "--progress")

    assert (done.code, done.stdout) == (0, b"some text")
    assert LINE.match(done.stderr)
    assert "\x1b" not in done.stderr


def test_lines_come_as_often_as_the_option_says(shell: Shell) -> None:
    with shell.running("--progress", "-o", "progress.every=0.01s", text="some text") as process:
        assert process.stderr is not None
        first, second = process.stderr.readline(), process.stderr.readline()

    assert first.startswith(b"streamfan: ")
    assert second.startswith(b"streamfan: ")


def test_progress_is_asked_for_by_the_file_too(shell: Shell) -> None:
    (shell.folder / "streamfan.toml").write_text("[run]\nprogress = true\n[sinks.progress]\nevery = '1m'\n")

    done = shell.stdin("some text", "--config", "streamfan.toml", "--quiet", "-s", "file:out.txt")

    assert LINE.match(done.stderr)


def test_replay_has_progress_too(shell: Shell) -> None:
    shell.stdin("some text", "-q", "-s", "file:story.jsonl", "-o", "file.format=jsonl")

    done = shell.run("replay", "story.jsonl", "--progress")

    assert done.stdout == b"some text"
    assert LINE.match(done.stderr)


def test_progress_is_no_reason_to_generate_for_nobody(shell: Shell) -> None:
    shell.install_source("endless", ENDLESS)

    done = shell.run("run", "--source", "endless", "--progress", script='"$@" | head -c 4; exit ${PIPESTATUS:-0}')

    assert done.stdout == b"text"


ENDLESS = """
    def run(self, fan, request):
        with fan.open() as stream:
            while not stream.cancelled:
                stream.write("text")
"""


@pytest.mark.parametrize("script", ['exec "$@" 2>&-', 'exec "$@" 2>/dev/full'], ids=["closed", "full"])
def test_stderr_that_takes_nothing_is_no_failure(shell: Shell, script: str) -> None:
    done = shell.stdin("some text", "--progress", script=script)

    assert (done.code, done.stdout) == (0, b"some text")


def test_progress_takes_no_target() -> None:
    with pytest.raises(UsageError, match="takes no target"):
        Fan("progress:80")


def test_program_has_progress_for_all_its_streams() -> None:
    code = """
from streamfan import Fan
with Fan("progress") as fan:
    fan.add(lambda text, end: None)
    with fan.open(max_tokens=4) as first, fan.open(max_tokens=4) as second:
        first.write("a", [1, 2, 3])
        second.write("b", [1])
        fan.reach()
        while fan.report.sinks[0].bytes < 2: pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert re.search(r"streamfan: 2 streams: 4 of 8 tokens, .*first after .*, stop; behind: callback ", done.stderr)
