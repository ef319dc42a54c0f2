"""The steps of a stream at its sink: each is one call, and what its cursor is told of it."""

from __future__ import annotations

from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.cursor import Step
from streamfan.lane.calls import forget_frames

if TYPE_CHECKING:
    from streamfan.cursor import Cursor
    from streamfan.lane.calls import Calls
    from streamfan.sink import Sink


class Steps:
    """Takes steps; for the lane's thread. No method raises because of the sink."""

    def __init__(self, sink: Sink, calls: Calls) -> None:
        self._sink = sink
        self._calls = calls

    def take(self, cursor: Cursor, step: Step) -> BaseException | None:
        """Make one call, and have the cursor know what came of it; the error if it has failed."""
        if step is Step.OPEN:
            return self._open(cursor)
        chunk, gap = cursor.chunk, cursor.gap
        if step is Step.GAP and gap is not None:
            _, error = self._calls.attempt("gap", partial(self._sink.gap, gap))
            if error is None:
                cursor.told(gap)
            return error
        if step is Step.WRITE and chunk is not None:
            _, error = self._calls.attempt("write", partial(self._sink.write, chunk))
            if error is None:
                cursor.delivered(chunk, monotonic())
            return error
        _, error = self._calls.attempt("close", partial(self._sink.close, cursor.stream.info, cursor.ending()))
        if error is None:
            cursor.closed()
        return error

    def beat(self, cursor: Cursor) -> BaseException | None:
        """Show that the producer lives; the error if that has failed."""
        _, error = self._calls.attempt("beat", partial(self._sink.beat, cursor.stream.info))
        cursor.beat_at = monotonic() + (self._sink.heartbeat or inf)
        return error

    def _open(self, cursor: Cursor) -> BaseException | None:
        held, error = self._calls.attempt("open", partial(self._sink.open, cursor.stream.info))
        if error is not None:
            return error
        try:
            cursor.opened_at(held)
        except ValueError as nonsense:
            forget_frames(nonsense)
            return nonsense
        cursor.beat_at = monotonic() + (self._sink.heartbeat or inf)
        return None
