"""`generate()` at work in a thread of its own, so that its streams can be read, and stopped, while it runs."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from streamfan.errors import UsageError
from streamfan.events import Cancellation
from streamfan.streamer import Streamer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.stream import Stream
    from streamfan.streamer import Opener

# What generate() cannot do without `tokenizer=`, a name that start() has taken.
_NEEDING_TOKENIZER = ("stop_strings", "token_healing", "assistant_tokenizer")


class Model(Protocol):
    """What can generate: a model of transformers."""

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Put what is generated into `kwargs["streamer"]`, and return it."""


class Generation:
    """One call of `generate()`, begun at once, in a thread.

    However that call ends, each of its streams then has an outcome.

    Args:
        opener: The fan.
        model: A model of transformers.
        tokenizer: Its tokenizer.
        inputs: A prompt as text, a list of prompts, a tensor of ids, or the keyword arguments that a tokenizer returns.
        stop: Texts that end a row; neither they nor what follows is published.
        skip_prompt: Leave the prompt out of the streams.
        skip_special_tokens: As for `decode`.
        decode_kwargs: Further arguments of `decode`, and `mode` and `exact` of `compile_plan`.
        **kwargs: Arguments of `generate()`.

    Raises:
        UsageError: `streamer` among the arguments: there can be one only. Or a decode argument that cannot be honoured.
        ValueError: An empty stop string.
    """

    def __init__(
        self,
        opener: Opener,
        model: Model,
        tokenizer: Any,
        inputs: Any,
        *,
        stop: str | Sequence[str] = (),
        skip_prompt: bool = True,
        skip_special_tokens: bool = True,
        decode_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse_streamer(kwargs)
        self._model = model
        self._process = os.getpid()
        self._cancellation: Cancellation | None = None
        self._output: Any = None
        self._error: BaseException | None = None
        self._opened = threading.Event()
        self._done = threading.Event()
        self._streamer = Streamer(
            opener,
            tokenizer,
            model=model,
            eos_token_id=_setting("eos_token_id", kwargs, model),
            pad_token_id=_setting("pad_token_id", kwargs, model),
            stop=stop,
            skip_prompt=skip_prompt,
            max_tokens=_setting("max_new_tokens", kwargs, model),
            on_open=self._announce,
            skip_special_tokens=skip_special_tokens,
            **(decode_kwargs or {}),
        )
        self._kwargs = self._arguments(inputs, tokenizer, kwargs)
        # daemon: the step that a model is at cannot be interrupted, and must not keep the interpreter alive.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._generate,), name="streamfan-generate", daemon=True
        )
        self._thread.start()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """One stream for each row; waits until they are open, which is before the model's first step.

        Raises:
            Exception: The model's, where it failed before that.
            UsageError: This is a forked child: the generation is its parent's.
        """
        self._check_process()
        self._opened.wait()
        if not self._streamer.streams and self._error is not None:
            raise self._error
        return self._streamer.streams

    def cancel(self, reason: str = "cancelled", *, by: str = "program") -> None:
        """Ask for an early end, from any thread; the text so far stays, and `result` returns what there is.

        The model stops after the step that it is at, or the next one.
        """
        # Noted first: whichever of this and `_announce` comes second sees what the other one did.
        self._cancellation = self._cancellation or Cancellation(reason, by)
        self._cancel(self._streamer.streams)

    def wait(self) -> None:
        """Wait until `generate()` is over, however it ended.

        Raises:
            UsageError: This is a forked child: the generation is its parent's.
        """
        self._check_process()
        self._done.wait()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for what `generate()` returns.

        Ctrl-C meanwhile cancels the generation, waits for the step that the model is at, and is raised then.

        Args:
            timeout: Seconds; the generation goes on after that. None for no limit.

        Raises:
            TimeoutError: `timeout` is over.
            Exception: Whatever `generate()` raised.
            StreamerMisuse: It returned, but the text was not streamed: beam search, or a `custom_generate`.
            UsageError: This is a forked child: the generation is its parent's.
        """
        self._check_process()
        try:
            ended = self._done.wait(timeout)
        except KeyboardInterrupt:
            self.cancel("interrupted", by="keyboard")
            self._done.wait()
            raise
        if not ended:
            raise TimeoutError(f"generate() is still at work after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._output

    def _check_process(self) -> None:
        # Its thread does not exist in a child, so whatever is waited for here would never come.
        if self._process != os.getpid():
            raise UsageError(
                f"this generation belongs to process {self._process}\nTry: start it after the fork, in the child"
            )

    def _arguments(self, inputs: Any, tokenizer: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All that `generate()` is called with."""
        inputs = _tokenized(inputs, tokenizer, self._model)
        arguments = {**(inputs if isinstance(inputs, Mapping) else {"inputs": inputs}), **kwargs}
        if any(_setting(name, kwargs, self._model) for name in _NEEDING_TOKENIZER):
            arguments["tokenizer"] = tokenizer
        criteria = kwargs.get("stopping_criteria") or ()
        arguments["stopping_criteria"] = [*criteria, self._streamer.stopping_criteria]
        arguments["streamer"] = self._streamer
        return arguments

    def _generate(self) -> None:
        try:
            with self._streamer:
                self._output = self._model.generate(**self._kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again by `result`, in whichever thread asks
            self._error = error
        finally:
            self._kwargs.clear()
            self._opened.set()
            self._done.set()

    def _announce(self, streams: tuple[Stream, ...]) -> None:
        self._opened.set()
        self._cancel(streams)

    def _cancel(self, streams: tuple[Stream, ...]) -> None:
        if self._cancellation is not None:
            for stream in streams:
                stream.cancel(self._cancellation.reason, by=self._cancellation.by)


def model_inputs(encoded: Any, model: Any) -> dict[str, Any]:
    """What `generate()` takes of what a tokenizer returned, where the model is."""
    # Some tokenizers also return token types, which generate() refuses where the model has none.
    names = [name for name in ("input_ids", "attention_mask") if name in encoded]
    return {name: encoded[name].to(model.device) for name in names}


def _setting(name: str, kwargs: Mapping[str, Any], model: Any) -> Any:
    """What `generate()` will go by: its argument, else what the configuration that it is given says, or the model's."""
    configs = (kwargs.get("generation_config"), getattr(model, "generation_config", None))
    settings = (kwargs.get(name), *(getattr(config, name, None) for config in configs))
    return next((setting for setting in settings if setting is not None), None)


def _tokenized(inputs: Any, tokenizer: Any, model: Any) -> Any:
    if isinstance(inputs, str):
        return model_inputs(tokenizer(inputs, return_tensors="pt"), model)
    if isinstance(inputs, list) and inputs and all(isinstance(prompt, str) for prompt in inputs):
        return model_inputs(tokenizer(inputs, return_tensors="pt", padding=True), model)
    if not (isinstance(inputs, Mapping) or hasattr(inputs, "shape")):
        raise UsageError(
            f"inputs are {type(inputs).__name__}, expected text, texts, a tensor, or what a tokenizer returns\n"
            'Try: tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")'
        )
    return inputs


def _refuse_streamer(kwargs: Mapping[str, Any]) -> None:
    if kwargs.get("streamer") is not None:
        raise UsageError(
            "generate() takes one streamer, and start() brings it\n"
            "Try: leave streamer= out, and add a sink to the fan: fan.add(function)"
        )
