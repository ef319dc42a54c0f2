"""The table `run`: what is asked of a run as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streamfan.options import Options, PathName

DEFAULT_SOURCE = "transformers"

Summary = Literal["table", "json", "none"]
Text = Annotated[str, Field(min_length=1)]


class RunOptions(Options):
    """The table `run`, and the flags of `streamfan run`."""

    model: Text | None = Field(default=None, description="A model's name or folder.")
    prompts: PathName | None = Field(default=None, description="A file of prompts, one a line; each becomes a stream.")
    source: PathName = Field(DEFAULT_SOURCE, description="Where the text comes from, NAME[:TARGET].")
    max_new_tokens: int | None = Field(default=None, ge=1, lt=2**31, description="How many tokens at most.")
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="0 means greedy decoding.")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Makes sampling repeatable.")
    stop: tuple[Text, ...] = Field(default=(), description="Texts that end the stream; they are not part of it.")
    chat: bool | None = Field(
        default=None,
        description="Put the prompt through the model's chat template; unless given, what is usual with the source.",
    )
    spill_dir: PathName | None = Field(
        default=None, description="Keep what a sink was not given, as recordings in this folder."
    )
    on_sink_failure: Literal["continue", "abort"] = Field(
        default="continue", description="Whether the generation goes on when a required sink has failed."
    )
    metrics_file: PathName | None = Field(
        default=None, description="Keep this file up to date with metrics, as Prometheus text."
    )
    quiet: bool = Field(default=False, description="Do not write the text to stdout.")
    progress: bool = Field(default=False, description="Show on stderr how far it has come.")
    summary: Summary | None = Field(
        default=None,
        description="How to report on stderr what each sink was given; a table on a terminal unless given.",
    )
