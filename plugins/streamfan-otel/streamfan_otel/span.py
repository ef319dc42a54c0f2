"""One stream as a span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from streamfan_otel.attributes import (
    COMPLETE,
    ERROR_TYPE,
    OPERATION,
    OUTPUT_MESSAGES,
    REQUEST_MODEL,
    SERVER_ADDRESS,
    TRUNCATED,
    at_end,
    at_start,
)

if TYPE_CHECKING:
    from datetime import datetime

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, Tracer
    from opentelemetry.util.types import AnyValue

    from streamfan import Chunk, End, StreamInfo
    from streamfan_otel.options import OtelOptions

_FIRST_TEXT = "streamfan.first_text"


class StreamSpan:
    """The span of one attempt at a stream.

    Args:
        parent: Whose child it is.
        earlier: The span of the attempt before this one, if there was one.

    Attributes:
        position: UTF-8 bytes of the text so far, also where it is not recorded.
    """

    def __init__(
        self, tracer: Tracer, stream: StreamInfo, options: OtelOptions, parent: Context, earlier: SpanContext | None
    ) -> None:
        self.position = 0
        self._start = _nanoseconds(stream.time)
        self._content = bytearray() if options.capture_content else None
        self._max_content = options.max_content
        attributes = at_start(stream, options)
        self._span = tracer.start_span(
            " ".join(str(attributes[name]) for name in (OPERATION, REQUEST_MODEL) if name in attributes),
            context=parent,
            kind=SpanKind.CLIENT if SERVER_ADDRESS in attributes else SpanKind.INTERNAL,
            attributes=attributes,
            links=[Link(earlier, {"streamfan.link": "earlier attempt"})] if earlier is not None else (),
            start_time=self._start,
        )

    @property
    def context(self) -> SpanContext:
        """What others refer to it by."""
        return self._span.get_span_context()

    def write(self, chunk: Chunk) -> None:
        """Take note of a piece of text."""
        self.position = chunk.end
        if self._content is not None:
            self._content += chunk.data[: self._max_content - len(self._content)]

    def end(self, end: End) -> None:
        """The stream is over."""
        self._span.set_attributes(at_end(end))
        if end.finish_reason == "error":
            self._span.set_status(Status(StatusCode.ERROR, None if end.error is None else end.error.message))
        if end.ttft is not None:
            # When it came: a chunk may have waited, and been merged.
            self._span.add_event(_FIRST_TEXT, timestamp=self._start + _in_nanoseconds(end.ttft))
        self._record_content(end.finish_reason)
        # By the stream's own clock: the system's may have been set meanwhile.
        self._span.end(self._start + _in_nanoseconds(end.duration))

    def abandon(self) -> None:
        """The sink is let go, and nobody has said how the stream ended."""
        self._span.set_attributes({ERROR_TYPE: "abandoned", COMPLETE: False})
        self._span.set_status(Status(StatusCode.ERROR, "the sink was disconnected before the stream had ended"))
        self._record_content("error")
        self._span.end()

    def _record_content(self, finish_reason: str) -> None:
        if self._content is None:
            return
        # A code point that was cut is left out.
        text = self._content.decode(errors="ignore")
        message: dict[str, AnyValue] = {
            "role": "assistant",
            "parts": [{"type": "text", "content": text}],
            "finish_reason": finish_reason,
        }
        self._span.set_attribute(OUTPUT_MESSAGES, [message])
        if len(text.encode()) < self.position:
            self._span.set_attribute(TRUNCATED, True)


def _nanoseconds(time: datetime) -> int:
    return round(time.timestamp() * 1e6) * 1000


def _in_nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
