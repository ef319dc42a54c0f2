"""Prompts as a model takes them, and the streams of several: their ids show the line that a prompt stood in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from streamfan.errors import SourceError, UsageError
from streamfan.lifetime import next_id
from streamfan.source import Message
from streamfan.sources.pretrained import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.fan import Fan
    from streamfan.source import Request
    from streamfan.stream import Stream


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        line: Where it stands in its file; None for one that was given alone.
    """

    text: str
    line: int | None
    ids: tuple[int, ...]


def texts(request: Request) -> list[tuple[int | None, str]]:
    """The prompts that were asked for, with their lines.

    Raises:
        UsageError: There is none, or one that is no text.
    """
    found: list[tuple[int | None, str]] = [*request.prompts] or [(None, request.prompt or "")]
    if request.messages is not None:
        found = [(None, message.content) for message in request.messages]
    for _, text in found:
        if not text:
            raise UsageError(
                "source 'transformers' needs a prompt, and there is none\nTry: streamfan run 'Once upon a time'"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the prompt is not text in UTF-8: {text!r}") from error
    # Of a conversation the last message is what is asked; there may be none yet.
    return found if request.messages is None else found[-1:]


def is_chat(request: Request) -> bool:
    """Whether what is asked goes through the model's chat template."""
    return request.chat or request.messages is not None


def encode(request: Request, tokenizer: Any, model: str) -> list[Prompt]:
    """The prompts as token ids.

    Args:
        model: Its name, for error texts.

    Raises:
        UsageError: One of them is nothing to this tokenizer, or there is no chat template.
        SourceError: The chat template fails.
    """
    if is_chat(request) and tokenizer.chat_template is None:
        instead = "a chat model" if request.messages is not None else "leave --chat out, or a chat model"
        raise UsageError(f"model {model!r} has no chat template\nTry: {instead}")
    prompts = []
    for line, text in texts(request):
        said = request.messages or (Message("user", text),)
        ids = _apply_template(said, tokenizer, model) if is_chat(request) else tokenizer(text).input_ids
        if not ids:
            raise UsageError(f"prompt {text!r} is nothing to model {model!r}: it has no tokens")
        prompts.append(Prompt(text, line, tuple(ids)))
    return prompts


def _apply_template(said: Sequence[Message], tokenizer: Any, model: str) -> list[int]:
    messages = [asdict(message) for message in said]
    try:
        encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    except Exception as error:  # a template is a program that came with the model
        raise SourceError(f"the chat template of model {model!r} failed: {first_line(error)}") from error
    ids: list[int] = encoded["input_ids"]
    return ids


def batch(prompts: Sequence[Prompt], tokenizer: Any, device: Any) -> dict[str, Any]:
    """All of them as one input of `generate()`: short ones are filled up from the left."""
    import torch

    fill = next((id for id in (tokenizer.pad_token_id, tokenizer.eos_token_id) if id is not None), 0)
    longest = max(len(prompt.ids) for prompt in prompts)
    missing = [longest - len(prompt.ids) for prompt in prompts]
    rows = [[fill] * count + list(prompt.ids) for prompt, count in zip(prompts, missing, strict=True)]
    masks = [[0] * count + [1] * (longest - count) for count in missing]
    tensors = {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)}
    return {name: tensor.to(device) for name, tensor in tensors.items()}


class Lines:
    """Opens the streams of a batch: `<run>-<line>`, or `<run>-<line>-<sequence>` where a prompt has several.

    Args:
        prompts: One for each `sequences` rows, in their order.
    """

    def __init__(self, fan: Fan, prompts: Sequence[Prompt], sequences: int) -> None:
        self._fan = fan
        self._prompts = prompts
        self._sequences = sequences
        self._run = next_id()

    def open(self, *, model: str | None = None, row: int = 0, max_tokens: int | None = None) -> Stream:
        """Open the stream of a row."""
        number, sequence = divmod(row, self._sequences)
        prompt = self._prompts[number]
        meta = {"line": prompt.line} if prompt.line is not None else {}
        parts = [self._run, *map(str, meta.values())]
        if self._sequences > 1:
            meta["sequence"] = sequence + 1
            parts.append(str(sequence + 1))
        return self._fan.open("-".join(parts), model=model, row=row, meta=meta, max_tokens=max_tokens)
