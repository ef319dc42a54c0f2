"""What a stream is called in OpenTelemetry: the attributes of its span, and those of them that metrics have.

Names are written out here and nowhere else: the semantic conventions for generative AI are in development, and the
constants of the package that has them are deprecated. Source: github.com/open-telemetry/semantic-conventions-genai.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.util.types import AnyValue

    from streamfan import End, StreamInfo
    from streamfan_otel.options import OtelOptions

    Attributes = dict[str, AnyValue]

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - a name
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
OTHER_ERROR = "_OTHER"

STREAM = "streamfan.stream.id"
ATTEMPT = "streamfan.stream.attempt"
COMPLETE = "streamfan.complete"
TRUNCATED = "streamfan.content.truncated"
SINK = "streamfan.sink.id"

_WITHOUT_CONTENT = ("gen_ai.request.", "gen_ai.conversation.", "gen_ai.agent.", "server.")
# Few values each, so that they can be told apart in a graph.
_DIMENSIONS = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE)


def at_start(stream: StreamInfo, options: OtelOptions) -> Attributes:
    """What is known of a stream when it opens, which is what samplers decide by.

    What its meta says in names of the conventions goes before what the options say.
    """
    attributes: Attributes = {
        OPERATION: options.operation,
        PROVIDER: options.provider,
        "gen_ai.request.stream": True,
        STREAM: stream.id,
        ATTEMPT: stream.attempt,
        "streamfan.stream.row": stream.row,
        "streamfan.stream.writer": stream.writer,
    }
    if stream.model is not None:
        attributes[REQUEST_MODEL] = stream.model
    if stream.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = stream.max_tokens
    if isinstance(of := stream.meta.get("of"), str):
        attributes["streamfan.stream.of"] = of
    attributes.update(_conventional(stream.meta, content=options.capture_content))
    return attributes


def at_end(end: End) -> Attributes:
    """What is known of a stream when it is over."""
    reason = end.meta.get("finish_reason")
    attributes: Attributes = {
        "gen_ai.response.finish_reasons": [reason if isinstance(reason, str) else end.finish_reason],
        "streamfan.text.bytes": end.offset,
        COMPLETE: end.complete,
    }
    if end.ttft is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = end.ttft
    if served := served_model(end):
        attributes[RESPONSE_MODEL] = served
    if end.finish_reason == "error":
        attributes[ERROR_TYPE] = OTHER_ERROR if end.error is None else end.error.type
    if end.cancel is not None:
        attributes["streamfan.cancel.reason"] = end.cancel.reason
        attributes["streamfan.cancel.by"] = end.cancel.by
    attributes.update({name: count for name, count in usage(end) if count is not None})
    return attributes


def dimensions(stream: StreamInfo, end: End, options: OtelOptions) -> Attributes:
    """Those attributes that metrics have."""
    attributes = {**at_start(stream, options), **at_end(end)}
    return {name: attributes[name] for name in _DIMENSIONS if name in attributes}


def usage(end: End) -> tuple[tuple[str, int | None], tuple[str, int | None]]:
    """How many tokens went in and came out; None where nobody has counted them, for chunks are no tokens."""
    told = end.meta.get("usage")
    counts = told if isinstance(told, dict) else {}
    output = _count(counts, "completion_tokens", "output_tokens")
    return (
        (INPUT_TOKENS, _count(counts, "prompt_tokens", "input_tokens")),
        (OUTPUT_TOKENS, (end.tokens or None) if output is None else output),
    )


def served_model(end: End) -> str | None:
    """The model that a server says has answered; None where there was no server, or it did not say."""
    model = end.meta.get("model")
    return model if isinstance(model, str) and model else None


def _conventional(meta: Mapping[str, AnyValue], *, content: bool) -> Iterator[tuple[str, AnyValue]]:
    for name, value in meta.items():
        # Without content only what is known to hold none: a name of tomorrow may.
        if (
            name in {OPERATION, PROVIDER}
            or name.startswith(_WITHOUT_CONTENT)
            or (content and name.startswith("gen_ai."))
        ):
            yield name, value


def _count(counts: Mapping[str, object], *names: str) -> int | None:
    values = (counts.get(name) for name in names)
    return next((value for value in values if type(value) is int and value >= 0), None)
