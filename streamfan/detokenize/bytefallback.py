"""Tokenizers that spell what they have no token for in bytes, `<0xE6>` (Llama 2, Mistral, Gemma, Unigram with bytes).

Reference: each run of byte pieces decoded once, with U+FFFD for what is invalid. That is `decode` wherever `decode`
gives no U+FFFD: there a single bad byte turns its whole run into one U+FFFD per byte, characters that were complete
included, and nothing could be said of a run before its end. `exact` does wait for that end, and then equals `decode`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from streamfan.detokenize.plan import Detokenizer, Mode, Plan
from streamfan.detokenize.steps import open_piece, render
from streamfan.detokenize.utf8 import Utf8, unfinished, whole_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streamfan.detokenize.decoder import Pipeline
    from streamfan.detokenize.steps import Feed, Step, Strip
    from streamfan.detokenize.vocabulary import Vocabulary

RUN_CAP = 1024
"""The longest run of bytes that `exact` holds; a longer one goes on as if without it."""

# Rust's number parser takes a sign, so `<0x+1>` is byte 1 there.
_BYTE = re.compile(r"<0x(\+?[0-9A-Fa-f]{1,2})>")


def byte_of(token: str) -> int | None:
    """Return the byte that a token spells, None if it is text."""
    match = _BYTE.fullmatch(token)
    return int(match[1], 16) if match is not None and len(token) == len("<0xHH>") else None


class ByteFallbackPlan(Plan):
    """The plan of a pipeline with byte fallback.

    Attributes:
        pieces: By id the byte or the text of pieces that are not first; filled as ids are met, so never beyond the
            vocabulary.
    """

    __slots__ = ("_exact", "_pipeline", "_vocabulary", "pieces")

    def __init__(self, vocabulary: Vocabulary, pipeline: Pipeline, *, mode: Mode, exact: bool) -> None:
        super().__init__(mode)
        self._vocabulary = vocabulary
        self._pipeline = pipeline
        self._exact = exact
        self.pieces: dict[int, str | int] = {}

    def piece(self, token_id: int, *, first: bool) -> str | int | None:
        """Return the byte or the text of an id; None if it is no piece at all and interrupts nothing."""
        if not first and token_id in self.pieces:
            return self.pieces[token_id]
        token = self._vocabulary.token(token_id)
        if token is None:
            return None
        piece = self._read(token, first=first)
        if not first:
            self.pieces[token_id] = piece
        return piece

    def open_run(self, *, first: bool, inherited: bytes = b"") -> Run:
        """Begin a run of bytes."""
        if self._exact:
            return _HeldRun(self._pipeline.after, first=first, inherited=inherited)
        return _StreamedRun(open_piece(self._pipeline.after, first=first), inherited)

    def _read(self, token: str, *, first: bool) -> str | int:
        text = render(self._pipeline.before, token, first=first)
        byte = byte_of(text)
        return render(self._pipeline.after, text, first=first) if byte is None else byte

    def _begin(self, prompt_ids: Sequence[int] | None) -> Detokenizer:
        if prompt_ids is None:
            return _ByteFallbackDetokenizer(self, first=True, leading=self._pipeline.leading)
        inherited = unfinished(self._backwards(prompt_ids))
        return _ByteFallbackDetokenizer(self, first=False, inherited=inherited)

    def _backwards(self, prompt_ids: Sequence[int]) -> Iterator[bytes]:
        for token_id in reversed(prompt_ids):
            piece = self.piece(token_id, first=False)
            if piece is not None:
                yield piece.encode() if isinstance(piece, str) else bytes((piece,))


class _ByteFallbackDetokenizer(Detokenizer):
    __slots__ = ("_first", "_leading", "_pieces", "_plan", "_run", "_settled")

    def __init__(
        self, plan: ByteFallbackPlan, *, first: bool, leading: Sequence[Strip] = (), inherited: bytes = b""
    ) -> None:
        self._plan = plan
        self._pieces = plan.pieces
        self._first = first
        self._leading = [strip.begin() for strip in leading]
        self._run = plan.open_run(first=False, inherited=inherited) if len(inherited) > 0 else None
        self._settled = not first and self._run is None

    def push(self, token_id: int) -> str:
        if self._settled:
            piece = self._pieces.get(token_id)
            if type(piece) is str:
                return piece
        return self._advance(token_id)

    def finish(self) -> str:
        return self._strip(self._end_run())

    def _advance(self, token_id: int) -> str:
        piece = self._plan.piece(token_id, first=self._first)
        if piece is None:
            return ""
        text = self._end_run() + piece if isinstance(piece, str) else self._take_byte(piece)
        self._first = False
        text = self._strip(text)
        self._settled = self._run is None and all(strip.left == 0 for strip in self._leading)
        return text

    def _take_byte(self, byte: int) -> str:
        if self._run is None:
            self._run = self._plan.open_run(first=self._first)
        return self._run.push(bytes((byte,)))

    def _end_run(self) -> str:
        run, self._run = self._run, None
        return "" if run is None else run.finish()

    def _strip(self, text: str) -> str:
        for strip in self._leading:
            text = strip.feed(text)
        return text


class Run(Protocol):
    """A run of byte pieces, up to the next piece of text or the end."""

    def push(self, data: bytes) -> str:
        """Return the text that is certain now."""

    def finish(self) -> str:
        """Return the rest; the run is over."""


class _StreamedRun:
    __slots__ = ("_feed", "_utf8")

    def __init__(self, feed: Feed, inherited: bytes) -> None:
        self._feed = feed
        self._utf8 = Utf8(inherited)

    def push(self, data: bytes) -> str:
        return self._feed(self._utf8.push(data))

    def finish(self) -> str:
        return self._feed(self._utf8.finish())


class _HeldRun:
    """Says nothing before the run is over: it is one piece if valid, one U+FFFD per byte if not."""

    __slots__ = ("_data", "_first", "_inherited", "_steps", "_streamed")

    def __init__(self, steps: Sequence[Step], *, first: bool, inherited: bytes) -> None:
        self._steps = steps
        self._first = first
        self._inherited = inherited
        self._data = bytearray()
        self._streamed: _StreamedRun | None = None

    def push(self, data: bytes) -> str:
        if self._streamed is not None:
            return self._streamed.push(data)
        self._data += data
        if len(self._data) <= RUN_CAP:
            return ""
        self._streamed = _StreamedRun(open_piece(self._steps, first=self._first), self._inherited)
        return self._streamed.push(bytes(self._data))

    def finish(self) -> str:
        if self._streamed is not None:
            return self._streamed.finish()
        text = whole_text(self._inherited + self._data)
        if text is not None:
            return render(self._steps, text, first=self._first)
        return render(self._steps, "\ufffd", first=self._first) * len(self._data)
