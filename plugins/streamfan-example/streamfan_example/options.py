"""The options of the sink.

A pydantic model: what is declared here is checked before anything runs, is read from the command line, streamfan.toml
and the environment, and is what `streamfan sinks example` and `streamfan schema` show. Every field needs a description.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streamfan import SinkOptions
from streamfan.options import Seconds, Secret


class ExampleOptions(SinkOptions):
    """The options of the `example` sink."""

    # A Secret is never shown, may come from the environment or a file, and is read with get_secret_value().
    token: Secret | None = Field(
        default=None, description="What the collector wants to hear, if it asks for something."
    )
    # Seconds are a float here, and may be written as "500ms". Bounds are pydantic's: gt, ge, lt, le, max_length, ...
    timeout: Annotated[Seconds, Field(gt=0, le=300)] = Field(
        default=10.0, description="How long the collector may take to answer."
    )
