"""One sequence that is being generated: ids in; text, and in the end an outcome, out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streamfan.errors import StreamEnded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.detokenize import Detokenizer, StopStrings
    from streamfan.events import FinishReason
    from streamfan.stream import Stream
    from streamfan.streamer.specials import SpecialIds


class Row:
    """The only sequence of a run: every id it is given is its own, also what follows an end of sequence.

    Attributes:
        stream: Where its text goes.
        done: Whether it takes no more: the stream has its outcome.
    """

    def __init__(
        self, stream: Stream, detokenizer: Detokenizer, stops: StopStrings | None, specials: SpecialIds
    ) -> None:
        self.stream = stream
        self.done = False
        self._detokenizer = detokenizer
        self._push = detokenizer.push
        self._stops = stops
        self._specials = specials
        self._last: int | None = None

    def show(self, prompt: Sequence[int]) -> None:
        """Publish the prompt as text; no stop string is looked for in it."""
        self._write("".join(map(self._push, prompt)), prompt)

    def put(self, ids: Sequence[int]) -> None:
        """Publish what these ids complete, in one write; everything from a stop string on is dropped."""
        if self.done or not ids:
            return
        if self._stops is not None:
            self._put_until_stop(ids, self._stops)
            return
        self._last = ids[-1]
        self._write(self._push(ids[0]) if len(ids) == 1 else "".join(map(self._push, ids)), ids)

    def stop_after(self, count: int) -> bool:
        """Whether nothing is wanted of this row beyond its first `count` ids, which are generated already."""
        return self.done or self.stream.cancelled is not None or self.stream.ended

    def end(self) -> None:
        """Publish the text that is still held, and end the stream."""
        if not self.done:
            self._flush(self._detokenizer.finish())
            self.stream.end(self._finish_reason())
            self.done = True

    def cut(self, error: BaseException) -> None:
        """End the stream because of `error`; a character that it leaves unfinished is not published."""
        if not self.done:
            self._flush(self._detokenizer.finish().rstrip("\ufffd"))
            # The stream knows which exceptions mean that it failed, and which that somebody wanted to stop.
            self.stream.__exit__(type(error), error, None)
            self.done = True

    def _put_until_stop(self, ids: Sequence[int], stops: StopStrings) -> None:
        pieces = []
        for count, id in enumerate(ids, 1):
            pieces.append(stops.push(self._push(id)))
            if stops.matched is not None:
                ids = ids[:count]
                break
        self._last = ids[-1]
        self._write("".join(pieces), ids)
        if stops.matched is not None:
            self.end()

    def _flush(self, text: str) -> None:
        if self._stops is not None:
            text = self._stops.push(text) + self._stops.finish()
        if text:
            self._write(text, ())

    def _write(self, text: str, ids: Sequence[int]) -> None:
        try:
            self.stream.write(text, ids)
        except StreamEnded:
            # Somebody else ended it, a fan that was closed for one; generate() must not fail for that.
            self.done = True

    def _finish_reason(self) -> FinishReason:
        if self._last in self._specials.eos or (self._stops is not None and self._stops.matched is not None):
            return "stop"
        return "cancelled" if self.stream.cancelled else "length"


class PaddedRow(Row):
    """One sequence among others: it ends at its own end of sequence, and what follows is padding.

    A row that ends in another way, by a criterion of the caller's, is padded too. So padding is held until another id
    shows that it was generated; where none comes, it was not.
    """

    def __init__(
        self, stream: Stream, detokenizer: Detokenizer, stops: StopStrings | None, specials: SpecialIds
    ) -> None:
        super().__init__(stream, detokenizer, stops, specials)
        self._padding: list[int] = []
        self._received = 0
        self._limit = sys.maxsize

    def put(self, ids: Sequence[int]) -> None:
        """Publish what these ids complete, in one write, up to the row's end."""
        if self.done:
            return
        own = self._without_padding(ids)
        self._received += len(ids)
        super().put(own)
        if self._received >= self._limit or (own and own[-1] in self._specials.eos):
            self.end()

    def stop_after(self, count: int) -> bool:
        """Whether nothing is wanted of this row beyond its first `count` ids, which are generated already.

        `generate()` may ask before it puts the last of them, or after: the row ends when it has them all.
        """
        if not super().stop_after(count):
            return False
        self._limit = min(self._limit, count)
        if self._received >= self._limit:
            self.end()
        return True

    def _without_padding(self, ids: Sequence[int]) -> list[int]:
        own: list[int] = []
        for id in ids:
            if id in self._specials.eos:
                return [*own, *self._padding, id]
            self._padding.append(id)
            if id != self._specials.pad:
                own += self._padding
                self._padding.clear()
        return own

    def _finish_reason(self) -> FinishReason:
        reason = super()._finish_reason()
        return "stop" if reason == "length" and self._padding else reason
