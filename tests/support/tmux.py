"""A real terminal: what a program shows there is what tmux says is on its screen."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WIDTH, HEIGHT = 80, 24
_TIMEOUT = 30.0
_LOOK = 0.05


class Tmux:
    """A terminal of 80 by 24 that `streamfan` runs in.

    Args:
        folder: Where it runs, and where the terminal's socket is.
        script: What the shell there does that starts it, as `"$@"`.
    """

    def __init__(
        self, folder: Path, *arguments: str, script: str = '"$@"', env: Mapping[str, str] | None = None
    ) -> None:
        self._socket = str(folder / "tmux")
        self._closed = False
        started = shlex.join([sys.executable, "-m", "streamfan", *arguments])
        # Ctrl-C is the program's, not the shell's; and what is typed after the end is nobody's error.
        command = "trap : INT; " + script.replace('"$@"', started) + "; echo exit=$?; exec cat"
        environ = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "TMUX", "COLUMNS"}}
        self._run(
            *("-f", os.devnull, "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder)),
            *("sh", "-c", command),
            env={**environ, "LC_ALL": "C.UTF-8", **(env or {})},
        )

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names: Enter, C-c, C-d, M-Enter, Up."""
        self._run("send-keys", *keys)

    def say(self, line: str) -> None:
        """Type a line, and Enter."""
        self.type(line)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """Paste `text`, as a terminal does that tells programs of it."""
        self._run("set-buffer", text)
        self._run("paste-buffer", "-p")

    def screen(self, *, styles: bool = False, history: bool = False) -> str:
        """What is on the screen, without the blank ends of its lines.

        Args:
            styles: With the sequences that give it its colours.
            history: With what has scrolled off the top.
        """
        return self._run("capture-pane", "-p", *(["-e"] if styles else []), *(["-S", "-"] if history else []))

    @property
    def lines(self) -> list[str]:
        """The screen's lines, all of them."""
        return [line.rstrip() for line in self.screen().split("\n")[:HEIGHT]]

    def wait(self, *texts: str) -> str:
        """Wait until all of these are on the screen; returns that."""
        return self.wait_until(lambda screen: all(text in screen for text in texts), f"{texts} on the screen")

    def wait_until(self, true: Callable[[str], bool], what: str) -> str:
        """Wait until `true(screen)`; returns that screen."""
        deadline = monotonic() + _TIMEOUT
        while not true(screen := self.screen()):
            assert monotonic() < deadline, f"never: {what}; the screen:\n{screen}"
            sleep(_LOOK)
        return screen

    def close(self) -> None:
        """End the terminal and what runs in it; a second time that is nothing."""
        if not self._closed:
            self._closed = True
            self._run("kill-server")

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], env=env, check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout
