"""A source that does what a test wants, when the test wants it."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import SourceError
from streamfan.source import Request, Source

if TYPE_CHECKING:
    from streamfan.fan import Fan
    from streamfan.stream import Stream

_LOOK_AGAIN = 0.005


class ScriptedSource(Source):
    """Publishes one stream, step by step.

        more = threading.Event()
        source = ScriptedSource("Once", more, " upon", RuntimeError("out of memory"))
        source.run(fan)

    Args:
        steps: Text is written; an event is waited for; an exception is what the stream fails with. After the last step
            the stream ends.
        id: The stream's id; one that sorts by time unless given.
        patience: Seconds that an event is waited for; then the stream fails with a `SourceError`.

    Attributes:
        stream: The stream, once it is open.
    """

    name = "scripted"

    def __init__(
        self, *steps: str | threading.Event | BaseException, id: str | None = None, patience: float = 10.0
    ) -> None:
        super().__init__()
        self.stream: Stream | None = None
        self._steps = steps
        self._id = id
        self._patience = patience

    def load(self, request: Request) -> None:
        """Does nothing."""

    def run(self, fan: Fan, request: Request = Request()) -> None:  # noqa: B008 - frozen
        """Publish the steps, to their end or until somebody asks the stream to stop; raises nothing."""
        self.stream = stream = fan.open(self._id)
        for step in self._steps:
            if stream.cancelled:
                break
            self._take(step, stream)
            if stream.ended:
                return
        stream.end()

    def _take(self, step: str | threading.Event | BaseException, stream: Stream) -> None:
        if isinstance(step, str):
            stream.write(step)
        elif isinstance(step, BaseException):
            stream.fail(step)
        else:
            self._wait(step, stream)

    def _wait(self, event: threading.Event, stream: Stream) -> None:
        deadline = monotonic() + self._patience
        # Looked at again and again: the event is the test's, so a cancellation must not set it.
        while not event.wait(_LOOK_AGAIN) and not stream.cancelled:
            if monotonic() >= deadline:
                stream.fail(SourceError(f"nobody has set the event of this step within {self._patience:g} s"))
                return
