"""`TextStreamer`: prints what `generate()` writes, and hands it to sinks."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self

from streamfan.errors import StreamerMisuse
from streamfan.fan import Fan
from streamfan.streamer import Streamer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from transformers.generation.streamers import BaseStreamer as Base

    from streamfan.making import SinkLike
    from streamfan.stream import Stream
else:
    try:
        # Some code asks whether a streamer is one. This part of transformers imports no torch.
        from transformers.generation.streamers import BaseStreamer as Base
    except ModuleNotFoundError:
        Base = object


class Tokens(Protocol):
    """What `generate()` puts."""

    @property
    def shape(self) -> Sequence[int]:
        """One dimension or two."""

    def tolist(self) -> Any:
        """The ids."""


class TextStreamer(Base):
    """Prints text as soon as it is certain, on the thread that generates; transformers' `TextStreamer` for one row.

    Override `on_finalized_text` to do something else with it. As a context manager it says how the run ended, also
    where `generate()` raises, and waits at the end until the sinks have everything. A run that was left half-way does
    no harm to the next.

    Args:
        tokenizer: A tokenizer of transformers, or whatever else `Fan.streamer` takes.
        skip_prompt: Leave the prompt out.
        sinks: Where the text goes besides, as for `Fan`; or a fan, which is then not closed here.
        **decode_kwargs: Arguments of `tokenizer.decode`; a mapping called `decode_kwargs` is taken for more of them.

    Attributes:
        streams: The stream of this run, or of the last one: can be read by anybody, from its start, while it grows.

    Raises:
        UsageError: A sink that does not exist, or a decode argument that cannot be honoured token by token.
    """

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        *,
        sinks: Fan | SinkLike | Iterable[SinkLike] = (),
        **decode_kwargs: Any,
    ) -> None:
        # Guides show it so; `decode` of most tokenizers swallows it without a word.
        nested: Mapping[str, Any] = decode_kwargs.pop("decode_kwargs", None) or {}
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = {**nested, **decode_kwargs}
        self.next_tokens_are_prompt = True
        self._stream: Stream | None = None
        self._position = 0
        self._ended_by: threading.Thread | None = None
        self.fan = _fan_for(self, sinks)
        self._streamer = Streamer(self.fan, tokenizer, skip_prompt=skip_prompt, **self.decode_kwargs)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """See above."""
        return self._streamer.streams

    # What generate() calls

    def put(self, value: Tokens) -> None:
        """Take the next ids; the first put of a run is its prompt.

        Raises:
            ValueError: There are several rows.
        """
        if len(value.shape) > 1 and value.shape[0] > 1:
            raise ValueError(
                f"{type(self).__name__} only supports batch size 1, got {value.shape[0]}\n"
                "Try: fan.streamer(tokenizer, model=model), which makes a stream of each row"
            )
        try:
            self._streamer.put(value)
        except StreamerMisuse as misuse:
            # The run before was left half-way, and here begins another. If it is not that, it is raised again.
            self._give_up(misuse)
            self._streamer.put(value)
        self._stream = self.streams[0]
        self.next_tokens_are_prompt = False
        self._hand_on()

    def end(self) -> None:
        """End the run: everything that was held comes out."""
        self._ended_by = threading.current_thread()
        self._streamer.end()
        rest = self._new_text()
        self._leave()
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print `text`, and a newline at the end; `text` is empty only there."""
        print(text, flush=True, end="" if not stream_end else None)  # noqa: T201 - what it is for

    # Stopping

    def cancel(self, reason: str = "cancelled", *, by: str = "program") -> None:
        """Ask for an early end, from any thread; heard where `stopping_criteria` is among those of `generate()`."""
        for stream in self.streams:
            stream.cancel(reason, by=by)

    def stopping_criteria(self, input_ids: Any, scores: Any = None, **kwargs: Any) -> Any:
        """For `generate(..., stopping_criteria=[streamer.stopping_criteria])`."""
        return self._streamer.stopping_criteria(input_ids, scores, **kwargs)

    def close(self) -> None:
        """Wait until the sinks have everything; no run can follow. Does nothing for a fan that was given."""
        if self._closing is not None:
            self._closing.detach()
            self.fan.close()

    _closing: weakref.finalize[..., TextStreamer] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        self.close()

    # A run

    def fail(self, error: BaseException) -> None:
        """Say that `generate()` has failed, or was left; does nothing where its text is complete."""
        if self._stream is not None:
            self._streamer.__exit__(type(error), error, None)
            self._hand_on()
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        """The run is over, before its end."""
        self._leave()

    def _leave(self) -> None:
        self._stream = None
        self._position = 0
        self.next_tokens_are_prompt = True

    def _hand_on(self) -> None:
        text = self._new_text()
        if text:
            self.on_finalized_text(text)

    def _new_text(self) -> str:
        if self._stream is None:
            return ""
        data = self._stream.read(self._position)
        self._position += len(data)
        return data.decode()


def _fan_for(streamer: TextStreamer, sinks: Fan | SinkLike | Iterable[SinkLike]) -> Fan:
    if isinstance(sinks, Fan):
        return sinks
    many = tuple(sinks) if isinstance(sinks, Iterable) and not isinstance(sinks, str) else (sinks,)
    if not many:
        return _without_sinks()
    fan = Fan(*many)
    # Programs make a streamer for each answer, and drop it.
    streamer._closing = weakref.finalize(streamer, _close_in_background, fan)
    # At the interpreter's exit every fan is closed, with a deadline.
    streamer._closing.atexit = False
    return fan


def _close_in_background(fan: Fan) -> None:
    fan.finish()
    threading.Thread(target=fan.close, name="streamfan-closing", daemon=True).start()


def _without_sinks() -> Fan:
    """One for all, so that a streamer costs no thread; its streams can be read and waited for."""
    return _shared(os.getpid())


@cache
def _shared(process: int) -> Fan:
    return Fan()
