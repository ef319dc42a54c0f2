"""What opens streams, without a fan."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from streamfan.attempts import next_attempt
from streamfan.dispatcher import Dispatcher
from streamfan.events import StreamInfo, now
from streamfan.generation import Generation
from streamfan.stream import Stream
from streamfan.streamer import Streamer

if TYPE_CHECKING:
    from types import TracebackType


class MemoryFan:
    """A fan without sinks: its streams are read where they are. Only inside `with` can they be waited for.

    Attributes:
        opened: All streams so far.
    """

    def __init__(self) -> None:
        self.opened: list[Stream] = []
        self._news: SimpleQueue[Stream] = SimpleQueue()
        self._dispatcher = Dispatcher()

    def open(
        self,
        id: str | None = None,
        *,
        model: str | None = None,
        row: int = 0,
        meta: dict[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> Stream:
        id = id or f"s{len(self.opened)}"
        attempt, meta = next_attempt(), meta or {}
        info = StreamInfo(
            id=id, attempt=attempt, writer="w", time=now(), model=model, row=row, meta=meta, max_tokens=max_tokens
        )
        stream = Stream(info, self._dispatcher)
        self.opened.append(stream)
        self._news.put(stream)
        return stream

    def forget(self, stream: Stream, *, keep: int) -> None:
        """Keep everything."""

    @property
    def cancelled(self) -> bool:
        return False

    def next(self) -> Stream:
        """Wait for a stream to be opened; each is given once."""
        return self._news.get(timeout=10)

    def streamer(self, tokenizer: Any, **kwargs: Any) -> Streamer:
        return Streamer(self, tokenizer, **kwargs)

    def start(self, model: Any, tokenizer: Any, inputs: Any, **kwargs: Any) -> Generation:
        return Generation(self, model, tokenizer, inputs, **kwargs)

    def __enter__(self) -> Self:
        self._dispatcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dispatcher.stop()


def ids_of(stream: Stream) -> list[int]:
    """All token ids of a stream that has ended."""
    assert stream.outcome is not None
    published = stream.chunk(0, stream.read(0)).token_ids if stream.length else ()
    return [*published, *stream.outcome.token_ids]
