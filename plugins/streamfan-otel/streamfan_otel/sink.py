"""The sink `otel`: a span for each attempt at a stream."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from streamfan import Delivery, LaneOptions, Sink, SpecError
from streamfan_otel import following
from streamfan_otel.options import OtelOptions

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer, TracerProvider

    from streamfan import Chunk, End, StreamInfo
    from streamfan_otel.own import OwnSpans
    from streamfan_otel.span import StreamSpan

# How many streams at most are known for the attempts that may follow.
_REMEMBERED = 1000


class OtelSink(Sink):
    """Makes a span of each attempt at a stream; it begins when the stream was opened, and ends when it did.

    Args:
        target: There is none: where spans go is said by the program, or by the environment variables `OTEL_*`.
        tracer_provider: Whose spans they are. Unless given, the program's global one as it is when the sink connects;
            where there is none, one of the sink's own, as the environment says.
    """

    name = "otel"
    Options = OtelOptions
    options: OtelOptions
    # A span is lost if nobody takes it; the SDK says so to nobody but its log.
    delivery = Delivery.AT_MOST_ONCE
    # Nothing is shown before the end of a stream. And what is not measured was generated all the same.
    lane_defaults = LaneOptions(required=False, linger=1.0)

    def __init__(
        self,
        target: str | None = None,
        options: OtelOptions | None = None,
        *,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if target is not None:
            raise SpecError(
                f"sink 'otel' takes no target, got {target!r}\n"
                "Try: the environment variable OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST:4318"
            )
        super().__init__(target, options)
        self._provider = tracer_provider
        self._own: OwnSpans | None = None
        self._tracer: Tracer | None = None
        self._spans: dict[tuple[str, int], StreamSpan] = {}
        self._earlier: OrderedDict[str, SpanContext] = OrderedDict()

    def connect(self) -> None:
        """Find the provider of spans, or make one; no collector is asked, for it need not be there yet."""
        if self._tracer is not None:
            return
        from streamfan_otel.environment import program_tracer_provider
        from streamfan_otel.identity import NAME, VERSION

        provider = self._provider or program_tracer_provider() or self._make_provider()
        self._tracer = provider.get_tracer(NAME, VERSION)
        following.follow(self.options)

    def open(self, stream: StreamInfo) -> int:
        """Begin the stream's span, and say how much of its text was noted."""
        key = (stream.id, stream.attempt)
        if key not in self._spans:
            self._spans[key] = self._begin(stream)
        return self._spans[key].position

    def write(self, chunk: Chunk) -> None:
        """Note the text; it waits for nobody."""
        self._spans[chunk.stream.id, chunk.stream.attempt].write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        """End the stream's span, which the SDK exports in its own time."""
        span = self._spans.pop((stream.id, stream.attempt), None)
        if span is not None:
            span.end(end)

    def disconnect(self) -> None:
        """End what is still open, and have spans of the sink's own provider exported, within `flush_timeout`.

        Raises:
            Permanent: Some could not be.
            TimeoutError: The collector took too long.
        """
        for span in self._spans.values():
            span.abandon()
        self._spans.clear()
        self._tracer = None
        own, self._own = self._own, None
        if own is not None:
            own.close(self.options.flush_timeout)

    def _make_provider(self) -> TracerProvider:
        from streamfan_otel.environment import need_sdk

        need_sdk()
        from streamfan_otel.own import OwnSpans

        self._own = OwnSpans()
        return self._own.provider

    def _begin(self, stream: StreamInfo) -> StreamSpan:
        from streamfan_otel.span import StreamSpan
        from streamfan_otel.tracing import parent_of

        assert self._tracer is not None, "a lane connects before it opens"
        parent = parent_of(stream, of_the_process=self._own is not None)
        span = StreamSpan(self._tracer, stream, self.options, parent, self._earlier.get(stream.id))
        self._earlier[stream.id] = span.context
        self._earlier.move_to_end(stream.id)
        if len(self._earlier) > _REMEMBERED:
            self._earlier.popitem(last=False)
        return span
