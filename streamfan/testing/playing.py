"""A text, published to sinks in one call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streamfan.fan import Fan
from streamfan.options import LaneOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamfan.report import Report
    from streamfan.sink import Sink

# Words with the white space before them, as models produce them.
_PIECES = re.compile(r"\s*\S+|\s+")


def play(
    text: str | Iterable[str],
    *sinks: str | Sink | Callable[[str, bool], object],
    id: str | None = None,
    lane: LaneOptions = LaneOptions(),  # noqa: B008 - frozen
) -> Report:
    """Publish `text` as one stream to `sinks` through a fan; returns what became of it when all have finished.

    Args:
        text: A text, which is written word by word, or the pieces to write.
        sinks: What `Fan` takes: specifications, `Sink` objects, or callables `(text, end)`.
        id: The stream's id; one that sorts by time unless given.
        lane: The lane options of each sink.

    Raises:
        UsageError: A sink that does not exist, or cannot be made as it was said.
    """
    with Fan() as fan:
        for sink in sinks:
            fan.add(sink, lane=lane)
        with fan.open(id) as stream:
            for piece in _PIECES.findall(text) if isinstance(text, str) else text:
                stream.write(piece)
    return fan.report
