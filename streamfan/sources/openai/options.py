"""The options of sources that ask a server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from streamfan.options import Seconds, Secret
from streamfan.source import SourceOptions

_OWN_FIELDS = frozenset({"stream", "n"})

Timeout = Annotated[Seconds, Field(gt=0)]


def _without_own(body: dict[str, Any]) -> dict[str, Any]:
    if taken := sorted(_OWN_FIELDS & body.keys()):
        raise ValueError(f"{taken[0]!r} is not to be given here; how many answers there are is the option n")
    return body


class ServerOptions(SourceOptions):
    """The options of sources that ask a server."""

    key: Secret | None = Field(default=None, description="The key to be let in with; $OPENAI_API_KEY unless given.")
    system: str | None = Field(default=None, description="The system message of a chat.")
    n: int = Field(default=1, ge=1, le=128, description="How many answers; each is a stream of its own.")
    reasoning: bool = Field(default=False, description="Publish what the model thinks, in a stream of its own.")
    usage: bool = Field(
        default=False, description="Ask for numbers of tokens: meta.usage of the end event, and tokens of the report."
    )
    body: Annotated[dict[str, Any], AfterValidator(_without_own)] = Field(
        default={}, description="More fields of the request, such as top_p, or others in the place of streamfan's."
    )
    resume: Literal["fail", "continue"] = Field(
        default="fail",
        description="When an answer is cut off after its first text. fail: the stream ends with an error, and its text "
        "is kept. continue: the text is sent back, for the model to go on from; with sampling it goes on differently.",
    )
    connect_timeout: Timeout = Field(default=5.0, description="How long the server may take to be reached.")
    first_token_timeout: Timeout = Field(default=300.0, description="How long the first token may take.")
    token_timeout: Timeout = Field(default=60.0, description="How long every further token may take.")
    max_elapsed: Seconds = Field(default=30.0, description="Total time of the tries before the first text.")
