"""Leaving at once, when somebody has asked for the second time; not without a last line on stderr.

A signal handler may have interrupted a thread in the middle of anything, whatever locks that holds. So it is another
thread that looks what to say, and nobody waits for it long.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NoReturn

from streamfan.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable

# More than a line takes where somebody reads it, and less than anybody minds.
_PATIENCE = 0.5


class Leaving:
    """The way out.

    Args:
        last_words: Says on stderr what there is to say.
        more: Seconds that it may take beside the time for a line.
    """

    def __init__(self, last_words: Callable[[], object], *, more: float = 0.0) -> None:
        self._last_words = last_words
        self._patience = _PATIENCE + more
        self._asked: SimpleQueue[bool] = SimpleQueue()
        # Started now: a signal handler is no place to start one.
        self._thread = threading.Thread(target=self._run, name="streamfan-leaving", daemon=True)
        self._thread.start()

    def now(self, code: int) -> NoReturn:
        """End the process, whatever is going on in it; to be called by a signal handler."""
        self._asked.put(True)
        self._thread.join(self._patience)
        os._exit(code)

    def close(self) -> None:
        """Nobody has asked: everything is said."""
        self._asked.put(False)
        self._thread.join(self._patience)

    def _run(self) -> None:
        if self._asked.get():
            self._last_words()
            console.flush()
