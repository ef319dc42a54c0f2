"""Text brought to a sink the way a lane does it, one call after the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from streamfan.events import Chunk, End
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.events import StreamInfo
    from streamfan.sink import Sink


def chunks(stream: StreamInfo, *texts: str, token_ids: Sequence[int] = ()) -> list[Chunk]:
    """`texts` as the chunks of `stream`, the first with the token ids."""
    made: list[Chunk] = []
    for text in texts:
        offset = made[-1].end if made else 0
        made.append(Chunk(stream, offset, text.encode(), () if made else tuple(token_ids)))
    return made


def ending(stream: StreamInfo, text: str = "", *, token_ids: Sequence[int] = ()) -> End:
    """The end of a stream that was `text`."""
    data = text.encode()
    return End(
        stream=stream.id,
        attempt=stream.attempt,
        offset=len(data),
        finish_reason="stop",
        token_ids=tuple(token_ids),
        sha256=hashlib.sha256(data).hexdigest(),
        duration=0.0,
    )


def deliver(sink: Sink, *texts: str, stream: StreamInfo | None = None) -> StreamInfo:
    """A whole stream of these texts, delivered to a sink that is connected."""
    stream = stream or info()
    sink.open(stream)
    for chunk in chunks(stream, *texts):
        sink.write(chunk)
    sink.close(stream, ending(stream, "".join(texts)))
    return stream
