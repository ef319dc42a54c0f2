"""What is said on stderr: each thing once; and that a stderr which takes nothing changes no outcome."""

from __future__ import annotations

import os

import pytest

from tests.support.command import Shell
from tests.support.distributions import Site

CLOSED = 'exec "$@" 2>&-'
FULL = 'exec "$@" 2>/dev/full'

# A sink that takes long enough to be asked about.
LAZY = """
    import threading
    from streamfan import Sink, hookimpl

    class Lazy(Sink):
        name = "lazy"
        def write(self, chunk):
            threading.Event().wait(1.5)

    @hookimpl
    def streamfan_sinks():
        return [Lazy]
"""


# Where stderr takes nothing


@pytest.mark.parametrize("script", [CLOSED, FULL], ids=["closed", "full"])
@pytest.mark.parametrize("how", ["table", "json"])
def test_stderr_that_takes_nothing_is_no_failure(shell: Shell, script: str, how: str) -> None:
    done = shell.stdin("text", "-s", "file:out.txt", "--summary", how, "-vv", script=script)

    assert (done.code, done.stdout, shell.file("out.txt")) == (0, b"text", "text")


def test_stderr_that_nobody_reads_is_no_failure(shell: Shell) -> None:
    read, write = os.pipe()
    os.close(read)

    done = shell.stdin("text", "-s", "file:out.txt", "--summary", "table", stderr=write)
    os.close(write)

    assert (done.code, done.stdout, shell.file("out.txt")) == (0, b"text", "text")


@pytest.mark.parametrize("script", [CLOSED, FULL], ids=["closed", "full"])
@pytest.mark.parametrize(("sink", "code"), [("nowhere", 2), ("file:missing/out.txt", 4)])
def test_exit_code_tells_what_stderr_cannot(shell: Shell, script: str, sink: str, code: int) -> None:
    assert shell.stdin("text", "-s", sink, script=script).code == code


@pytest.mark.parametrize("arguments", [["run"], ["run", "-"]], ids=" ".join)
def test_closed_standard_input_is_no_prompt(shell: Shell, arguments: list[str]) -> None:
    done = shell.run(*arguments, script='exec "$@" <&-')

    assert (done.code, "Error: there is no prompt" in done.stderr) == (2, True), done


# What is said


def test_sink_that_fails_is_told_once(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file:missing/out.txt")

    assert done.code == 4
    assert done.stderr.startswith("Error: sink 'file': ")
    assert (done.stderr.count("missing/out.txt"), done.stderr.count("Try:")) == (1, 1)


def test_optional_sink_that_fails_is_a_warning_told_once(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file:missing/out.txt", "-o", "file.lane.required=false")

    assert done.code == 0
    assert done.stderr.startswith("Warning: sink 'file': ")
    assert done.stderr.count("missing/out.txt") == 1


def test_failure_of_a_sink_is_told_when_it_happens_to_who_wants_more(shell: Shell) -> None:
    done = shell.stdin("text", "-v", "-s", "file:missing/out.txt")

    assert "streamfan: sink 'file' is failed" in done.stderr


def test_sink_that_is_in_trouble_is_told_of_when_it_happens(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "full=file:/dev/full", "-o", "full.lane.max_elapsed=0.2")

    assert "streamfan: sink 'full' is degraded: write() failed, trying again" in done.stderr
    assert "is failed" not in done.stderr


def test_what_is_waited_for_at_the_end_is_told(shell: Shell) -> None:
    Site(shell.site).install_sink("lazy", LAZY)

    done = shell.stdin("text", "-s", "lazy", "-s", "file:out.txt")

    assert (done.code, done.stderr) == (0, "streamfan: waiting for lazy (4 bytes behind)\n")


def test_closing_that_is_waited_for_at_the_end_is_told(shell: Shell) -> None:
    Site(shell.site).install_sink(
        "lazy", LAZY.replace("write(self, chunk)", "write(self, chunk): ...\n        def close(self, *_)")
    )

    done = shell.stdin("text", "-s", "lazy")

    assert (done.code, done.stderr) == (0, "streamfan: waiting for lazy (closing)\n")


def test_table_counts_no_tokens_where_no_tokenizer_was(shell: Shell) -> None:
    done = shell.stdin("text", "--summary", "table")
    as_json = shell.stdin("text", "--summary", "json")

    assert "first after" in done.stderr
    assert "tokens" not in done.stderr
    assert as_json.summary["streams"][0]["tokens"] is None


def test_table_tells_tokens_that_came_as_a_number(shell: Shell) -> None:
    shell.install_source("counting", COUNTING)

    done = shell.run("run", "--source", "counting", "--summary", "table")

    assert ": 4 tokens, first after" in done.stderr.replace("\n", " ")
    assert "tokens/s" in done.stderr
    assert "chunks/s" in done.stderr


COUNTING = """
    def run(self, fan, request):
        with fan.open() as stream:
            stream.write("a")
            stream.write("b")
            stream.end(tokens=4)
"""


# Sources that fail in ways of their own


@pytest.mark.parametrize("method", ["load(self, request)", "run(self, fan, request)"])
@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "BaseException('panic')"])
def test_source_that_raises_what_is_no_exception_has_failed(shell: Shell, method: str, error: str) -> None:
    # The last as from an extension written in Rust.
    shell.install_source("odd", f"def {method}:\n    raise {error}")

    done = shell.run("run", "--source", "odd", text=None)

    assert done.code == 1
    assert done.stderr.startswith(f"Error: unexpected {error.partition('(')[0]}")
