"""Errors that end a thread reach whoever waits for the text of that thread.

`Thread(target=model.generate, kwargs={"streamer": streamer, ...})` is how transformers' documentation does it, and all
that Python does with an error in there is to print it.
"""

from __future__ import annotations

import threading
from functools import cache
from traceback import walk_tb
from typing import TYPE_CHECKING

from streamfan.dropin.text import TextStreamer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


@cache
def report_failures() -> None:
    """From now on, tell streamers of errors that end the thread which generates; what was done with them still is."""
    before = threading.excepthook

    def tell(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            for streamer in {id(each): each for each in _streamers_in(args.exc_traceback)}.values():
                streamer.fail(args.exc_value)
        before(args)

    threading.excepthook = tell


def _streamers_in(trace: TracebackType | None) -> Iterator[TextStreamer]:
    """Those that the functions which were left by an error have been given."""
    for frame, _ in walk_tb(trace):
        for value in frame.f_locals.values():
            # Arguments by name are in a dict.
            for each in value.values() if type(value) is dict else (value,):
                if isinstance(each, TextStreamer):
                    yield each
