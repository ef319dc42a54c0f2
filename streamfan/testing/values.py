"""Streams, chunks and ends made by hand, for calling a sink without a fan."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamfan import lifetime
from streamfan.attempts import next_attempt
from streamfan.events import Chunk, End, StreamInfo, now

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "kit/model"
"""What produces the kit's texts."""


def new_stream(**changes: Any) -> StreamInfo:
    """A stream that nobody has seen before, in the fields that `changes` leaves alone."""
    meta = {"purpose": "contract", "übung": [1, None, {"a": "b"}]}
    stream = StreamInfo(
        id=lifetime.next_id(), attempt=next_attempt(), writer="c0de", time=now(), model=MODEL, meta=meta
    )
    return replace(stream, **changes)


def chunks(stream: StreamInfo, *texts: str, offset: int = 0) -> Iterator[Chunk]:
    """`texts` as consecutive chunks from `offset` on, each with a token id."""
    for number, text in enumerate(texts):
        chunk = Chunk(stream, offset, text.encode(), (number,))
        offset = chunk.end
        yield chunk


def ending(stream: StreamInfo, text: str, **changes: Any) -> End:
    """The end of a stream that was `text`: complete, unless `changes` says otherwise."""
    data = text.encode()
    end = End(
        stream=stream.id,
        attempt=stream.attempt,
        offset=len(data),
        finish_reason="stop",
        sha256=hashlib.sha256(data).hexdigest(),
        duration=0.0,
    )
    return replace(end, **changes)
