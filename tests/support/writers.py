"""Programs that write files, to be killed or to disturb one another; each call is for a process of its own."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from streamfan.events import Chunk, StreamInfo
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.chunks import TIME
from tests.support.deliveries import ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.synchronize import Barrier, Event
    from typing import Any

STREAM = StreamInfo(id="s", attempt=7, writer="w", time=TIME)


def random_text(length: int) -> str:
    """A text of one, two, three and four bytes to a character, always the same."""
    source = random.Random(length)
    return "".join(source.choices('ab \n"\\é日👩', k=length))


def pieces(text: str, sizes: Iterator[int], stream: StreamInfo = STREAM) -> Iterator[Chunk]:
    """The text cut into chunks, with the index of each character as a token id that ends there."""
    position, offset = 0, 0
    while position < len(text):
        piece = text[position : position + next(sizes)]
        ids = tuple(range(position, position + len(piece)))
        yield Chunk(stream, offset, piece.encode(), ids, TIME)
        position, offset = position + len(piece), offset + len(piece.encode())


def random_sizes(seed: int) -> Iterator[int]:
    """How many characters each chunk has: mostly few, sometimes more than the system writes at once."""
    source = random.Random(seed)
    while True:
        yield source.choices((1, 5, 20, 100, 200, 20_000), weights=(200, 200, 200, 200, 200, 3))[0]


def write(path: str, options: dict[str, Any], length: int, seed: int, begun: Event) -> None:
    """Write a whole stream, whose attempt is always the same, in chunks that are not."""
    sink = FileSink(path, FileOptions.model_validate(options))
    sink.connect()
    text = random_text(length)
    begun.set()
    sink.open(STREAM)
    for number, chunk in enumerate(pieces(text, random_sizes(seed))):
        if number % 20 == 0:
            # Or whoever waits for a moment to kill this would come too late.
            time.sleep(0.001)
        sink.write(chunk)
    sink.close(STREAM, ending(STREAM, text))
    sink.disconnect()


def write_texts(path: str, options: dict[str, Any], id: str, texts: Sequence[str], begun: Barrier) -> None:
    """Write a stream of these chunks when all have begun."""
    sink = FileSink(path, FileOptions.model_validate(options))
    sink.connect()
    stream = StreamInfo(id=id, attempt=7, writer="w", time=TIME)
    begun.wait()
    sink.open(stream)
    offset = 0
    for text in texts:
        sink.write(chunk := Chunk(stream, offset, text.encode(), (), TIME))
        offset = chunk.end
    sink.close(stream, ending(stream, "".join(texts)))
    sink.disconnect()
