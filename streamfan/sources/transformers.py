"""Text from a model of transformers, in this process; the bundled one unless another is asked for."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from streamfan import demo
from streamfan.errors import SourceError, UsageError
from streamfan.generation import Generation
from streamfan.hookspecs import hookimpl
from streamfan.source import Source
from streamfan.sources.continuous import ContinuousBatch
from streamfan.sources.generating import TransformersOptions, settings
from streamfan.sources.pretrained import first_line, load, quiet
from streamfan.sources.prompts import Lines, Prompt, batch, encode, is_chat, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.detokenize.plan import Mode
    from streamfan.fan import Fan
    from streamfan.source import Request
    from streamfan.stream import Stream
    from streamfan.streamer import Opener

_log = logging.getLogger(__name__)


class TransformersSource(Source):
    """Generates with a causal language model, by its own generation settings but for beams, which cannot be streamed.

    The target is the model's folder or name. A stream holds the answer only. Where the prompt is text to go on from,
    the space between the two is a part of the answer, so that both together read as one text. Several prompts are one
    batch, with a stream for each.
    """

    name = "transformers"
    accepts = frozenset(
        {"prompt", "prompts", "messages", "model", "max_new_tokens", "temperature", "seed", "stop", "chat"}
    )
    Options = TransformersOptions
    options: TransformersOptions

    def __init__(self, target: str | None = None, options: TransformersOptions | None = None) -> None:
        super().__init__(target, options)

    def load(self, request: Request) -> None:
        """Read the weights, and check that the prompts suit the model.

        Raises:
            MissingExtra: torch or transformers is not installed.
            UsageError: A model that does not exist, or a prompt that it cannot take.
            SourceError: The model cannot be loaded.
        """
        if request.model and self.target and request.model != self.target:
            raise UsageError(f"two models are asked for: {self.target!r} and {request.model!r}\nTry: one of them")
        self._name = request.model or self.target or str(demo.PATH)
        self._check_options(len(texts(request)))
        kind = {"dtype": self.options.dtype, "device": self.options.device}
        self._model, self._tokenizer = load(self._name, **kind)
        self._assistant = load(self.options.assistant, **kind) if self.options.assistant else None
        with quiet():
            self._encode(request)

    def run(self, fan: Fan, request: Request) -> None:
        """Generate, and return when all streams have ended.

        Raises:
            SourceError: The model failed before anything was published.
        """
        if request.seed is not None:
            import torch

            torch.manual_seed(request.seed % 2**64)
        with quiet():
            prompts = self._encode(request)
            mode: Mode = "standalone" if is_chat(request) else "continuation"
            arguments = settings(request, self.options, self._room(prompts))
            sequences = arguments.get("num_return_sequences", 1)
            opener = Lines(fan, prompts, sequences) if request.prompts or sequences > 1 else fan
            if self.options.continuous:
                self._batch(opener, prompts, stop=request.stop, mode=mode, settings=arguments, seed=request.seed)
            else:
                self._generate(opener, prompts, stop=request.stop, mode=mode, settings=arguments)

    def _generate(
        self, opener: Opener, prompts: Sequence[Prompt], *, stop: Sequence[str], mode: Mode, settings: dict[str, Any]
    ) -> None:
        inputs = batch(prompts, self._tokenizer, self._model.device)
        decode_kwargs = {"mode": mode}
        arguments = self._assistance() | settings
        streams: tuple[Stream, ...] = ()
        try:
            generation = Generation(
                opener, self._model, self._tokenizer, inputs, stop=stop, decode_kwargs=decode_kwargs, **arguments
            )
            streams = generation.streams
            generation.result()
        except (KeyboardInterrupt, UsageError):
            raise
        except BaseException as error:  # noqa: BLE001 - foreign code: one that raises SystemExit has failed as well
            self._failed(error, published=bool(streams))

    def _batch(self, opener: Opener, prompts: Sequence[Prompt], **how: Any) -> None:
        requests = ContinuousBatch(self._model, self._tokenizer, **how)
        try:
            requests.run(opener, prompts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the same
            self._failed(error, published=bool(requests.rows))

    def _failed(self, error: BaseException, *, published: bool) -> None:
        if not published:
            raise SourceError(f"model {self._name!r} cannot generate: {first_line(error)}") from error
        # Its streams have ended with this error, so everybody who reads them knows.
        _log.debug("generate() failed", exc_info=True)

    def _encode(self, request: Request) -> list[Prompt]:
        """What the model is given.

        Raises:
            UsageError: This model cannot take it.
        """
        prompts = encode(request, self._tokenizer, self._name)
        for prompt in prompts:
            if len(prompt.ids) >= _context(self._model):
                what = "prompt" if request.messages is None else "conversation"
                where = "" if prompt.line is None else f" in line {prompt.line}"
                raise UsageError(
                    f"the {what}{where} is {len(prompt.ids)} tokens long, and model {self._name!r} takes fewer than "
                    f"{_context(self._model)}\nTry: a shorter {what}, or another model"
                )
        return prompts

    def _room(self, prompts: Sequence[Prompt]) -> int:
        """How many tokens the model can go on for."""
        return _context(self._model) - max(len(prompt.ids) for prompt in prompts)

    def _check_options(self, prompts: int) -> None:
        options = self.options
        beams = options.generate.get("num_beams", 1)
        if isinstance(beams, int) and beams > 1:
            raise UsageError(
                f"beam search cannot be streamed, and num_beams is {beams}: only its end tells which text it is\n"
                "Try: leave num_beams out of source.generate"
            )
        if options.assistant and (prompts > 1 or options.num_return_sequences > 1 or options.continuous):
            raise UsageError(
                "an assistant can help with one stream at a time\nTry: one prompt, without num_return_sequences and "
                "continuous, or leave the assistant out"
            )
        if options.continuous and options.repetition_penalty is not None:
            raise UsageError(
                "continuous batching of transformers knows no repetition_penalty\nTry: leave one of the two out"
            )

    def _assistance(self) -> dict[str, Any]:
        if self._assistant is None:
            return {}
        model, tokenizer = self._assistant
        same = tokenizer.get_vocab() == self._tokenizer.get_vocab()
        return {"assistant_model": model, **({} if same else {"assistant_tokenizer": tokenizer})}


def _context(model: Any) -> int:
    """How many positions the model has; as good as endless for one that does not count them."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return sys.maxsize if positions is None else int(positions)


@hookimpl
def streamfan_sources() -> tuple[type[Source], ...]:
    """The source of this module."""
    return (TransformersSource,)
