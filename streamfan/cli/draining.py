"""Says what a fan that is closing waits for, once that takes longer than a moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from streamfan.cli import console
from streamfan.report import State

if TYPE_CHECKING:
    from streamfan.fan import Fan
    from streamfan.report import SinkReport

_FIRST = 1.0
_AGAIN = 5.0


class Draining:
    """While it is entered, lines on stderr name the sinks that are not done, and why."""

    def __init__(self, fan: Fan) -> None:
        self._fan = fan
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="streamfan-draining", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _FIRST
        while not self._over.wait(pause):
            pause = _AGAIN
            waiting = [_line(sink) for sink in self._fan.report.sinks if sink.state not in {State.CLOSED, State.FAILED}]
            if waiting:
                console.say(f"streamfan: waiting for {', '.join(waiting)}")


def _line(sink: SinkReport) -> str:
    what = f"{sink.missing:,} bytes behind" if sink.missing else "closing"
    why = f"; {sink.trouble}" if sink.trouble else ""
    return f"{sink.id} ({what}{why})"
