"""What `generate()` calls, turned into streams: one for each row of the batch.

`generate()` puts the prompt, then what it generates, on the model's thread, and calls `end` if nothing goes wrong: any
exception and some ways of decoding leave `end` out. That is what the context manager is for.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from streamfan.detokenize import StopStrings, compile_plan
from streamfan.errors import StreamerMisuse, UsageError
from streamfan.streamer.ids import check_ids
from streamfan.streamer.rows import PaddedRow, Row
from streamfan.streamer.run import Run
from streamfan.streamer.specials import SpecialIds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from streamfan.stream import Stream
    from streamfan.streamer.specials import TokenIds


class Opener(Protocol):
    """Where streams are opened: a fan."""

    def open(self, *, model: str | None = None, row: int = 0, max_tokens: int | None = None) -> Stream:
        """Open a stream."""


class Tokens(Protocol):
    """What `generate()` puts: a tensor, or any other array."""

    def tolist(self) -> Any:
        """The ids as a list, or as a list of lists."""


class Streamer:
    """Takes the place of transformers' `TextStreamer`, for any number of rows and consumers.

    `generate()` is never made to wait by a consumer, and never sees one's exception. A row ends as `stop` at its end of
    sequence or at a stop string, as `cancelled` where it was asked to, and as `length` otherwise.

    As a context manager it bounds what happens inside: streams that are open when it is left fail, and so they do
    where an exception leaves it. Without one a call of `generate()` that raises leaves its streams open until the
    streamer is used again, which mostly raises `StreamerMisuse` (the streamer is fit for use after that), or is
    dropped. After `end` the next put begins the next run, with streams of its own.

    Args:
        opener: The fan.
        tokenizer: Whatever `compile_plan` takes.
        model: Where `eos_token_id` and `pad_token_id` come from unless given, and the streams' model name.
        eos_token_id: The ids that end a row, where `generate()` is told other ones than the model's.
        pad_token_id: Likewise, what it fills rows up with.
        stop: Texts that end a row; neither they nor what follows is published.
        skip_prompt: Leave the prompt out. Otherwise its text comes first, without the padding on its left.
        max_tokens: How many tokens a row will have at most, where that is known.
        on_open: Called with the streams as soon as they are open, on the model's thread.
        **decode_kwargs: Arguments of `tokenizer.decode`, and `mode` and `exact` of `compile_plan`.

    Attributes:
        streams: Those of the current or else of the last run, by row; empty before the first put.

    Raises:
        UnsupportedDecode: A decode argument that cannot be honoured token by token.
        ValueError: An empty stop string.
    """

    def __init__(
        self,
        opener: Opener,
        tokenizer: Any,
        *,
        model: Any = None,
        eos_token_id: TokenIds | None = None,
        pad_token_id: int | None = None,
        stop: str | Sequence[str] = (),
        skip_prompt: bool = False,
        max_tokens: int | None = None,
        on_open: Callable[[tuple[Stream, ...]], object] | None = None,
        **decode_kwargs: Any,
    ) -> None:
        self.streams: tuple[Stream, ...] = ()
        self._opener = opener
        self._tokenizer = tokenizer
        self._plan = compile_plan(tokenizer, **decode_kwargs)
        self._model = model
        self._eos = eos_token_id
        self._pad = pad_token_id
        self._stop = (stop,) if isinstance(stop, str) else tuple(stop)
        # Wrong ones are refused here, not in the middle of generate().
        StopStrings(self._stop)
        self._skip_prompt = skip_prompt
        self._max_tokens = max_tokens
        self._on_open = on_open
        self._run: Run | None = None
        self._runs_ended = 0
        self._entered: int | None = None

    # What generate() calls

    def put(self, value: Tokens) -> None:
        """Publish the next ids; the first put of a run is its prompt.

        Raises:
            UsageError: The prompt has several rows, and nothing says what ends one.
            StreamerMisuse: The run before was left half-way, or these are no ids; its streams fail now.
        """
        ids = value.tolist()
        if self._run is None:
            check_ids(ids)
            self._begin(ids if ids and isinstance(ids[0], list) else [ids])
            return
        try:
            self._run.put(ids)
        except StreamerMisuse as misuse:
            self._release(self._run).cut(misuse)
            raise

    def end(self) -> None:
        """End the streams of this run; does nothing where there are none."""
        if self._run is not None:
            self._release(self._run).end()
            self._runs_ended += 1

    def stopping_criteria(self, input_ids: Any, scores: Any = None, **kwargs: Any) -> Any:
        """Which rows `generate()` is to stop: those that were cancelled, or have met a stop string.

        For `generate(..., stopping_criteria=[streamer.stopping_criteria])`. Without it generation goes on: unseen after
        a stop string, and as if nothing had been said after a cancellation.
        """
        return False if self._run is None else self._run.stopped(input_ids)

    # A context manager bounds what happens inside

    def __enter__(self) -> Self:
        if self._run is not None:
            misuse = StreamerMisuse("the streamer is in the middle of a run: end() was never called")
            self._release(self._run).cut(misuse)
            raise misuse
        self._entered = self._runs_ended
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if self._run is not None:
                self._release(self._run).cut(error)
        elif self._run is not None:
            misuse = StreamerMisuse(
                "generate() returned without end(): beam search and many a custom_generate do not stream\n"
                "Try: num_beams=1, and no custom_generate"
            )
            self._release(self._run).cut(misuse)
            raise misuse
        elif self._runs_ended == self._entered:
            raise StreamerMisuse("nothing was generated with this streamer\nTry: generate(..., streamer=streamer)")

    # A run

    def _begin(self, prompts: list[list[int]]) -> None:
        specials = SpecialIds.find(self._model, self._tokenizer, self._eos, self._pad)
        if len(prompts) > 1 and not specials.certain:
            raise UsageError(
                f"a batch of {len(prompts)} rows, and nothing says where a row ends\n"
                "Try: fan.streamer(tokenizer, model=model), or eos_token_id="
            )
        run = Run(self._open(prompts, specials), len(prompts[0]))
        self._run = run
        self._abandon = weakref.finalize(self, run.abandon)
        # At the interpreter's exit the fan says what becomes of streams that are open.
        self._abandon.atexit = False
        self.streams = tuple(row.stream for row in run.rows)
        if self._on_open is not None:
            self._on_open(self.streams)
        if not self._skip_prompt:
            for row, prompt in zip(run.rows, prompts, strict=True):
                row.show(self._prompt_text(prompt, specials, alone=len(prompts) == 1))

    def _open(self, prompts: list[list[int]], specials: SpecialIds) -> list[Row]:
        kind = Row if len(prompts) == 1 else PaddedRow
        name = name_of(self._model)
        rows: list[Row] = []
        try:
            for number, prompt in enumerate(prompts):
                stops = StopStrings(self._stop) if self._stop else None
                detokenizer = self._plan.start(prompt if self._skip_prompt else ())
                stream = self._opener.open(model=name, row=number, max_tokens=self._max_tokens)
                rows.append(kind(stream, detokenizer, stops, specials))
        except BaseException as error:
            Run(rows, 0).cut(error)
            raise
        return rows

    def _prompt_text(self, prompt: list[int], specials: SpecialIds, *, alone: bool) -> Sequence[int]:
        if getattr(getattr(self._model, "config", None), "is_encoder_decoder", False):
            # What a decoder starts with is a signal to it; the user's text went to the encoder.
            return prompt[1:]
        return prompt if alone else specials.without_left_padding(prompt)

    def _release(self, run: Run) -> Run:
        self._run = None
        self._abandon.detach()
        return run


def name_of(model: Any) -> str | None:
    """What readers are told of a model's name."""
    name = getattr(model, "name_or_path", None) or None
    # Of a folder only the last part: the rest is nobody's business, and the name travels to every reader.
    return Path(name).resolve().name if name and Path(name).is_dir() else name
