"""What a model of transformers is asked for: options, and the arguments of `generate()` that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from streamfan.source import SourceOptions

if TYPE_CHECKING:
    from streamfan.source import Request

_MAX_NEW_TOKENS = 256


class TransformersOptions(SourceOptions):
    """The options of the `transformers` source."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = Field(
        default=None, description="What the model's numbers are; as they were saved unless given."
    )
    device: str | None = Field(
        default=None, min_length=1, description="Where the model runs: cpu, cuda:1; an accelerator, where there is one."
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Sample from the likeliest tokens of this probability."
    )
    top_k: int | None = Field(
        default=None, ge=0, lt=2**31, description="Sample from so many of the likeliest tokens; 0 for all."
    )
    repetition_penalty: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Above 1 repeats less."
    )
    num_return_sequences: int = Field(default=1, ge=1, le=1024, description="Streams for each prompt.")
    assistant: str | None = Field(
        default=None,
        min_length=1,
        description="A smaller model, name or folder, that guesses ahead: assisted decoding.",
    )
    continuous: bool = Field(
        default=False, description="Batch continuously: a prompt begins as soon as there is room for it."
    )
    generate: dict[str, Any] = Field(
        default={}, description="Further arguments of generate(); they win over the others."
    )


def settings(request: Request, options: TransformersOptions, room: int) -> dict[str, Any]:
    """The generation settings that differ from the model's own.

    Args:
        room: How many tokens the model can go on for.
    """
    wanted = _MAX_NEW_TOKENS if request.max_new_tokens is None else request.max_new_tokens
    found: dict[str, Any] = {"max_new_tokens": min(wanted, room), "num_beams": 1}
    sampling = {"temperature": request.temperature, "top_p": options.top_p, "top_k": options.top_k}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    if request.temperature == 0:
        found["do_sample"] = False
    elif sampling:
        found |= {"do_sample": True, **sampling}
    if options.repetition_penalty is not None:
        found["repetition_penalty"] = options.repetition_penalty
    if options.num_return_sequences > 1:
        found["num_return_sequences"] = options.num_return_sequences
    return found | options.generate
