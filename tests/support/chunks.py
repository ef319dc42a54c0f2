"""Chunks and end events made by hand, for tests that call a sink themselves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from streamfan.events import Chunk, End, StreamInfo

TIME = datetime(2026, 11, 20, 17, 23, 31, 42_000, tzinfo=UTC)
STREAM = StreamInfo(id="20261120-172331-k3f9", attempt=7, writer="9f2c", time=TIME, model="demo")
TEXTS = ["Once", " upon\n", 'a "time"\x00', " é", "😀"]


def chunks(*texts: str, stream: StreamInfo = STREAM, token_ids: tuple[int, ...] = ()) -> list[Chunk]:
    """The chunks of a stream that consists of `texts`; each carries the same token ids."""
    made: list[Chunk] = []
    for text in texts:
        made.append(Chunk(stream, made[-1].end if made else 0, text.encode(), token_ids, TIME))
    return made


def ending(text: str, stream: StreamInfo = STREAM, **changes: Any) -> End:
    """The end event of a stream that consists of `text`."""
    data = text.encode()
    end = End(
        stream=stream.id,
        attempt=stream.attempt,
        offset=len(data),
        finish_reason="stop",
        sha256=hashlib.sha256(data).hexdigest(),
        duration=1.5,
        time=TIME,
    )
    return replace(end, **changes)
