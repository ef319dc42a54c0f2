"""Text from a model of transformers, in this process; the bundled one unless another is asked for."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from streamfan import demo
from streamfan.errors import SourceError, UsageError
from streamfan.generation import model_inputs
from streamfan.hookspecs import hookimpl
from streamfan.source import Source
from streamfan.sources.pretrained import first_line, load, quiet

if TYPE_CHECKING:
    from streamfan.fan import Fan
    from streamfan.generation import Generation
    from streamfan.source import Request
    from streamfan.stream import Stream

_MAX_NEW_TOKENS = 256
_log = logging.getLogger(__name__)


class TransformersSource(Source):
    """Generates with a causal language model, by its own generation settings but for beams, which cannot be streamed.

    The target is the model's folder or name. The stream holds the answer only. Where the prompt is text to go on from,
    the space between the two is a part of the answer, so that both together read as one text.
    """

    name = "transformers"
    accepts = frozenset({"prompt", "model", "max_new_tokens", "temperature", "seed", "stop", "chat"})

    def load(self, request: Request) -> None:
        """Read the weights, and check that the prompt suits the model.

        Raises:
            MissingExtra: torch or transformers is not installed.
            UsageError: A model that does not exist, or a prompt that it cannot take.
            SourceError: The model cannot be loaded.
        """
        if request.model and self.target and request.model != self.target:
            raise UsageError(f"two models are asked for: {self.target!r} and {request.model!r}\nTry: one of them")
        self._name = request.model or self.target or str(demo.PATH)
        _check_text(request.prompt)
        self._model, self._tokenizer = load(self._name)
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
            inputs = self._encode(request)
            generation = fan.start(
                self._model,
                self._tokenizer,
                inputs,
                stop=request.stop,
                decode_kwargs={"mode": "standalone" if request.chat else "continuation"},
                **_settings(request, self._room(inputs)),
            )
            self._wait(generation)

    def _encode(self, request: Request) -> dict[str, Any]:
        """What the model is given.

        Raises:
            UsageError: This model cannot take it.
        """
        prompt = _check_text(request.prompt)
        encoded = self._apply_template(prompt) if request.chat else self._tokenizer(prompt, return_tensors="pt")
        inputs = model_inputs(encoded, self._model)
        if inputs["input_ids"].shape[1] == 0:
            raise UsageError(f"prompt {prompt!r} is nothing to model {self._name!r}: it has no tokens")
        if self._room(inputs) <= 0:
            raise UsageError(
                f"the prompt is {inputs['input_ids'].shape[1]} tokens long, and model {self._name!r} takes fewer than "
                f"{_context(self._model)}\nTry: a shorter prompt, or another model"
            )
        return inputs

    def _apply_template(self, prompt: str) -> Any:
        if self._tokenizer.chat_template is None:
            raise UsageError(f"model {self._name!r} has no chat template\nTry: leave --chat out, or a chat model")
        messages = [{"role": "user", "content": prompt}]
        try:
            return self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
            )
        except Exception as error:  # a template is a program that came with the model
            raise SourceError(f"the chat template of model {self._name!r} failed: {first_line(error)}") from error

    def _room(self, inputs: dict[str, Any]) -> int:
        """How many tokens the model can go on for."""
        return _context(self._model) - int(inputs["input_ids"].shape[1])

    def _wait(self, generation: Generation) -> None:
        streams: tuple[Stream, ...] = ()
        try:
            streams = generation.streams
            generation.result()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: one that raises SystemExit has failed as well
            if not streams:
                raise SourceError(f"model {self._name!r} cannot generate: {first_line(error)}") from error
            # Its streams have ended with this error, so everybody who reads them knows.
            _log.debug("generate() failed", exc_info=True)


def _settings(request: Request, room: int) -> dict[str, Any]:
    """The generation settings that differ from the model's own."""
    wanted = _MAX_NEW_TOKENS if request.max_new_tokens is None else request.max_new_tokens
    settings: dict[str, Any] = {"max_new_tokens": min(wanted, room), "num_beams": 1}
    if request.temperature == 0:
        settings["do_sample"] = False
    elif request.temperature is not None:
        settings |= {"do_sample": True, "temperature": request.temperature}
    return settings


def _context(model: Any) -> int:
    """How many positions the model has; as good as endless for one that does not count them."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return sys.maxsize if positions is None else int(positions)


def _check_text(prompt: str | None) -> str:
    if not prompt:
        raise UsageError(
            "source 'transformers' needs a prompt, and there is none\nTry: streamfan run 'Once upon a time'"
        )
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the prompt is not text in UTF-8: {prompt!r}") from error
    return prompt


@hookimpl
def streamfan_sources() -> tuple[type[Source], ...]:
    """The source of this module."""
    return (TransformersSource,)
