"""Commands of `streamfan` that begin at once: forked from a process that has imported everything.

    with Zygote(folder) as zygote:
        command = zygote.start("replay", "a.jsonl", "-s", "file:a.txt")
        command.kill()
        assert command.wait() == -signal.SIGKILL

Each is a process of its own, which does what the command line does. Python alone takes so long to begin that nobody
would wait for hundreds of them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tests.support.sinks import DEADLINE

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]


class Command:
    """One command; it can be killed, and has to be waited for."""

    def __init__(self, zygote: subprocess.Popen[bytes], said: Path) -> None:
        self._zygote = zygote
        self._said = said
        self._pid = self._number(DEADLINE)
        self._code: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        if self._code is None:
            self._code = self._number(0)
        return self._code is None

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self._pid or 0, signal.SIGKILL)

    def wait(self) -> int:
        """The exit code; of a process that was killed it is negative."""
        if self._code is None:
            self._code = self._number(DEADLINE)
        assert self._code is not None, f"it does not end: {self.stderr}"
        return self._code

    @property
    def stderr(self) -> str:
        """What it has said."""
        return self._said.read_text(encoding="utf-8")

    @property
    def summary(self) -> dict[str, Any]:
        """The report of `--summary json`."""
        line = next(line for line in self.stderr.splitlines() if line.startswith("{"))
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def _number(self, patience: float) -> int | None:
        assert self._zygote.stdout is not None
        if not select.select([self._zygote.stdout], [], [], patience)[0]:
            return None
        return int(self._zygote.stdout.readline())


class Zygote:
    """Starts commands in `folder`, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command: Command | None = None

    def start(self, *arguments: str) -> Command:
        """Start `streamfan` with these arguments; the one before has ended."""
        said = self._folder / "stderr"
        # Whoever asks what it has said may be quicker than it.
        said.write_bytes(b"")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(said), *arguments]).encode() + b"\n")
        self._command = Command(self._process, said)
        return self._command

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.support.zygote import serve; serve()", str(self._folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A line is there once it was written, and none is kept where `select` does not see it.
            bufsize=0,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._command is not None:
            self._command.kill()
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """Fork one command after the other, and say the process id and the exit code of each."""
    _import_everything()
    os.chdir(sys.argv[1])
    for line in sys.stdin:
        said, *arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(said, arguments)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    os.write(1, b"%d\n" % number)


def _become(said: str, arguments: list[str]) -> NoReturn:
    from streamfan.__main__ import main

    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, descriptor in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, descriptor)
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        sys.stderr.flush()
        # At once: an interpreter that takes itself apart takes longer than the command.
        os._exit(end.code if isinstance(end.code, int) else 1)
    raise AssertionError("a command ends with SystemExit")


def _import_everything() -> None:
    import redis  # noqa: F401 - the sink imports it when it connects

    import streamfan.cli.replay  # noqa: F401 - so does the command line
    from streamfan.plugins import plugins

    plugins().sink("file")
    plugins().sink("redis")
    plugins().source("recording")
