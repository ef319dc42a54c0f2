"""Who puts into a streamer, and whether that goes on: `generate()` tells nobody when it fails."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType


class Producer:
    """The thread that calls this, and the call of transformers' `generate()` that it is in, if it is in one."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self._generate = _generate_in(sys._getframe())

    @property
    def gone(self) -> bool:
        """Whether it puts no more: its thread is over, or that call is."""
        if not self.thread.is_alive():
            return True
        # A thread of a pool lives on. Of a loop that somebody has written by hand nobody knows whether it is over.
        return self._generate is not None and not _runs(self.thread, self._generate)


def _generate_in(frame: FrameType | None) -> CodeType | None:
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "generate" and module.startswith("transformers."):
            return frame.f_code
        frame = frame.f_back
    return None


def _runs(thread: threading.Thread, code: CodeType) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None
