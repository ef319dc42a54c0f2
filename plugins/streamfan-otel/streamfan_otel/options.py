"""The options of the `otel` sink, which the metrics of a run follow too."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streamfan import SinkOptions
from streamfan.options import Seconds, Size


class OtelOptions(SinkOptions):
    """The options of the `otel` sink."""

    provider: str = Field(
        default="streamfan",
        min_length=1,
        description="Who runs the model, for gen_ai.provider.name, where the meta of a stream does not say it.",
    )
    operation: str = Field(
        default="text_completion",
        min_length=1,
        description="What is asked of it, such as chat, for gen_ai.operation.name, where meta does not say it.",
    )
    capture_content: bool = Field(
        default=False,
        description="Record the text that is generated, and messages and tools that the stream's meta holds.",
    )
    max_content: Annotated[Size, Field(ge=1)] = Field(
        default=64 * 1024, description="How much text of one stream is recorded; the rest of it is left out."
    )
    flush_timeout: Seconds = Field(
        default=5.0,
        description="How long the end waits for a collector: the sink's for spans, and the program's for metrics. "
        "Not where the program has set up OpenTelemetry by itself.",
    )
