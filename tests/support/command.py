"""`streamfan` as a user starts it: a process of its own, in an empty folder, with nobody's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from textwrap import dedent, indent
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.support.distributions import Site
from tests.support.faults import patience, switched_off

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# For what hangs, not for what is slow: a model is loaded in seconds, but in a minute where the cores are taken.
TIMEOUT = patience(100)
TRACEBACK = "Traceback (most recent call last)"

# Sinks that do one thing wrong, as a stranger's plugin would bring them.
ILL_SINKS = """
    import os, threading
    from streamfan import Sink, hookimpl

    class Hung(Sink):
        name = "hung"
        def write(self, chunk):
            threading.Event().wait()  # ill
            return

    class Raising(Sink):
        name = "raising"
        def write(self, chunk):
            raise ValueError("broken on purpose")  # ill
            return

    class Slow(Sink):
        name = "slow"
        def __init__(self, target=None, options=None):
            super().__init__(target, options)
            self.calls = 0
        def write(self, chunk):
            threading.Event().wait(0.05)  # ill
            self.calls += 1
            with open(self.target, "ab") as file:
                file.write(chunk.data)

    @hookimpl
    def streamfan_sinks():
        return [Hung, Raising, Slow]
"""


# A source as a stranger's plugin would bring it.
PLUGIN_SOURCE = """\
import sys, threading
from streamfan import hookimpl
from streamfan.source import Source

def wait_for_ever():
    # Not even the interpreter's end gets past this thread, as with one that is in native code.
    thread = threading.Thread(target=threading.Event().wait, daemon=False)
    thread.start()
    thread.join()

def wait_for_cancel(stream):
    cancelled = threading.Event()
    stream.on_cancel(cancelled.set)
    cancelled.wait()

class PluginSource(Source):
    name = "{name}"
    def load(self, request): ...
    def run(self, fan, request): ...
{body}

@hookimpl
def streamfan_sources():
    return [PluginSource]
"""


class Shell:
    """Runs `streamfan` in a folder.

    Attributes:
        folder: Where it runs, and what it leaves there.
        site: A folder on its path, for plugins.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cwd"
        self.folder.mkdir()
        self.site = folder / "site"
        self.site.mkdir()

    def environ(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The environment that commands run in."""
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "120", **extra}

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, script: str = 'exec "$@"', **streams: Any
    ) -> subprocess.Popen[bytes]:
        """Start `streamfan` with these arguments; its standard streams are pipes unless given.

        Args:
            script: What the shell does that starts it, as `"$@"`.
        """
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            ["sh", "-c", script, "sh", sys.executable, "-m", "streamfan", *arguments],
            cwd=self.folder,
            env=self.environ(env or {}),
            **{**pipes, **streams},
        )

    def run(
        self, *arguments: str, text: str | bytes | None = "", env: Mapping[str, str] | None = None, **streams: Any
    ) -> Done:
        """Run it to its end with `text` on standard input."""
        process = self.start(*arguments, env=env, **streams)
        data = text.encode() if isinstance(text, str) else text
        try:
            stdout, stderr = process.communicate(data, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            pytest.fail(f"it does not end; stderr: {stderr.decode()}")
        except BaseException:
            # A test that has run out of its own time leaves nothing to the next one.
            process.kill()
            process.communicate()
            raise
        return Done(process.returncode, stdout or b"", (stderr or b"").decode())

    @contextmanager
    def running(self, *arguments: str, text: str = "", **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Start a run that has read this text from its standard input, which stays open; it is killed in the end."""
        process = self.start("run", "--source", "stdin", *arguments, **more)
        try:
            write(process, text)
            yield process
        finally:
            process.kill()
            process.communicate()

    def stdin(self, text: str | bytes, *arguments: str, **more: Any) -> Done:
        """Run it with `text` as the generation."""
        return self.run("run", "--source", "stdin", *arguments, text=text, **more)

    def install_ill_sinks(self) -> None:
        """Install the sinks `hung`, `raising` and `slow`."""
        names = ("hung", "raising", "slow")
        code = "".join(line for line in ILL_SINKS.splitlines(True) if not (switched_off() and "# ill" in line))
        Site(self.site).install("streamfan-ill", code=code, sinks=dict.fromkeys(names, "streamfan_ill"))

    def install_source(self, name: str, body: str) -> None:
        """Install a source with these methods; see `PLUGIN_SOURCE` for what they can use."""
        code = PLUGIN_SOURCE.format(name=name, body=indent(dedent(body), " " * 4))
        Site(self.site).install(f"streamfan-{name}", code=code, sources={name: f"streamfan_{name}"})

    def file(self, name: str) -> str:
        """What a file in the folder holds."""
        return (self.folder / name).read_text(encoding="utf-8")


def write(process: subprocess.Popen[bytes], text: str) -> None:
    """Write to its standard input."""
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.flush()


def end_of(process: subprocess.Popen[bytes], *, told: bool = True) -> Done:
    """Wait until it has ended.

    Args:
        told: End its standard input.
    """
    try:
        if not told:
            process.wait(TIMEOUT)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        pytest.fail("it does not end")
    return Done(process.returncode, stdout or b"", (stderr or b"").decode())


def read_until(pipe: IO[bytes] | None, text: bytes) -> bytes:
    """Read what comes until `text` has come."""
    assert pipe is not None
    got = b""
    while text not in got:
        piece = os.read(pipe.fileno(), 65536)
        assert piece, f"it ended too soon: {got!r}"
        got += piece
    return got


class Done:
    """A command that has ended."""

    def __init__(self, code: int, stdout: bytes, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        # No traceback ever reaches a user, whatever a test is about.
        assert TRACEBACK not in stderr, stderr

    @property
    def summary(self) -> dict[str, Any]:
        """The report of `--summary json`."""
        line = next(line for line in self.stderr.splitlines() if line.startswith("{"))
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def __repr__(self) -> str:
        return f"<exit {self.code}; stdout {self.stdout!r}; stderr {self.stderr!r}>"
