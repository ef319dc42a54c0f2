"""`TextIteratorStreamer` and `AsyncTextIteratorStreamer`: the text for a consumer beside the thread that generates."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from streamfan.dropin.producer import Producer
from streamfan.dropin.text import TextStreamer
from streamfan.dropin.threads import report_failures
from streamfan.errors import StreamerMisuse, StreamFailed, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.dropin.text import Tokens
    from streamfan.fan import Fan
    from streamfan.making import SinkLike

# How often whoever waits looks whether there is still somebody to wait for.
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class _Failure:
    """In place of the stop signal: no more text, because of this."""

    stream: str
    error: BaseException

    def raised(self) -> StreamFailed:
        failed = StreamFailed(self.stream, type(self.error).__name__, text_of(self.error))
        failed.__cause__ = self.error
        return failed


class _IteratorStreamer(TextStreamer):
    """What the two have in common: text is queued on the model's thread, and fetched on another."""

    text_queue: Any
    stop_signal: Any

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        timeout: float | None = None,
        *,
        sinks: Fan | SinkLike | Iterable[SinkLike] = (),
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, sinks=sinks, **decode_kwargs)
        self.timeout = timeout
        self.stop_signal = None
        self._producer: Producer | None = None
        # Whether the one who iterates was told of the end, and what was fetched with the text before it.
        self._over = False
        self._fetched: list[Any] = []
        report_failures()

    def put(self, value: Tokens) -> None:
        """Take the next ids; the first put of a run is its prompt."""
        if self._producer is None or self._producer.thread is not threading.current_thread():
            self._producer = Producer()
        super().put(value)

    def end(self) -> None:
        """End the run: everything that was held comes out, and then the iteration ends."""
        self._producer = None
        super().end()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Queue `text`, and at the end the stop signal."""
        if text:
            self._deliver(text)
        if stream_end:
            self._deliver(self.stop_signal)

    def fail(self, error: BaseException) -> None:
        """Say that `generate()` has failed, also before it has put anything; does nothing where it has ended."""
        if self._stream is not None:
            super().fail(error)
        elif self._ended_by is not threading.current_thread():
            self._give_up(error)

    @abstractmethod
    def _deliver(self, item: Any) -> None:
        """Queue one thing, from any thread."""

    def _give_up(self, error: BaseException) -> None:
        stream = self.streams[0].id if self._stream is not None else "(none)"
        self._producer = None
        super()._give_up(error)
        self._deliver(_Failure(stream, error))

    def _look(self) -> None:
        """Nothing has come for a while: is there anybody who would put?"""
        producer = self._producer
        if producer is not None and producer.gone:
            self.fail(StreamerMisuse("generate() is over, and has not called end(): it has failed, or does not stream"))

    def _checked(self, item: Any, end: type[StopIteration | StopAsyncIteration]) -> Any:
        """What the one who iterates gets: text with all text that waits behind it."""
        if isinstance(item, _Failure):
            self._over = True
            raise item.raised()
        if item == self.stop_signal:
            self._over = True
            raise end
        return self._merged(item) if self._is_text(item) else item

    def _merged(self, text: str) -> str:
        texts = [text]
        with suppress(Empty, asyncio.QueueEmpty):
            while self._is_text(item := self.text_queue.get_nowait()):
                texts.append(item)
            self._fetched.append(item)
        return "".join(texts)

    def _is_text(self, item: Any) -> bool:
        return isinstance(item, str) and item != self.stop_signal


class TextIteratorStreamer(_IteratorStreamer):
    """Iterating gives the text as it comes, from a `generate()` in another thread; the end of the run ends it.

    Whoever is slow gets what it has missed in one piece. Iterating again, by another `for`, waits for the next run.

    Args:
        timeout: Seconds to wait for text, `queue.Empty` is raised then; None to wait as long as somebody generates.

    Raises:
        StreamFailed: While iterating: `generate()` has failed; its error is the cause, where it is known. A call that a
            pool of threads makes and that fails before its first step is not noticed: use `with streamer:` there.
    """

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        timeout: float | None = None,
        *,
        sinks: Fan | SinkLike | Iterable[SinkLike] = (),
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, timeout, sinks=sinks, **decode_kwargs)
        self.text_queue: Queue[Any] = Queue()

    def __iter__(self) -> Self:
        self._over = False
        return self

    def __next__(self) -> Any:
        """The next piece; any type, for a subclass may queue what it likes."""
        if self._over:
            raise StopIteration
        return self._checked(self._fetched.pop() if self._fetched else self._get(), StopIteration)

    def _get(self) -> Any:
        deadline = None if self.timeout is None else monotonic() + self.timeout
        while True:
            left = _LOOK if deadline is None else min(_LOOK, deadline - monotonic())
            try:
                return self.text_queue.get(timeout=max(0.0, left))
            except Empty:
                if deadline is not None and monotonic() >= deadline:
                    raise
                self._look()

    def _deliver(self, item: Any) -> None:
        self.text_queue.put(item)


class AsyncTextIteratorStreamer(_IteratorStreamer):
    """The same for `async for`; may be made anywhere, and a consumer whose loop is closed disturbs nobody.

    Args:
        timeout: Seconds to wait for text, `TimeoutError` is raised then; None to wait as long as somebody generates.

    Attributes:
        loop: The event loop of who iterates; None while nobody does.
    """

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        timeout: float | None = None,
        *,
        sinks: Fan | SinkLike | Iterable[SinkLike] = (),
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, timeout, sinks=sinks, **decode_kwargs)
        self._lock = threading.Lock()
        self.text_queue: asyncio.Queue[Any] = asyncio.Queue()
        self.loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):
            self.loop = asyncio.get_running_loop()

    def __aiter__(self) -> Self:
        self._over = False
        return self

    async def __anext__(self) -> Any:
        """The next piece; any type, for a subclass may queue what it likes."""
        if self._over:
            raise StopAsyncIteration
        self._move_to(asyncio.get_running_loop())
        async with asyncio.timeout(self.timeout):
            item = self._fetched.pop() if self._fetched else await self._get()
        return self._checked(item, StopAsyncIteration)

    async def _get(self) -> Any:
        while True:
            try:
                async with asyncio.timeout(_LOOK):
                    return await self.text_queue.get()
            except TimeoutError:
                self._look()

    def _deliver(self, item: Any) -> None:
        with self._lock:
            if self.loop is None:
                self.text_queue.put_nowait(item)
                return
            # A closed loop means that the consumer has gone: nobody is left to tell.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.text_queue.put_nowait, item)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whoever iterates is in this loop; a queue of asyncio belongs to the first that has waited for it."""
        if self.loop is loop:
            return
        with self._lock:
            waiting, self.text_queue, self.loop = self.text_queue, asyncio.Queue(), loop
            while not waiting.empty():
                self.text_queue.put_nowait(waiting.get_nowait())
