"""Streams that are over, as metrics: those of the conventions for generative AI, and what each sink was given.

Source of names, units and bounds: github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan_otel.attributes import (
    ERROR_TYPE,
    INPUT_TOKENS,
    SERVER_ADDRESS,
    SINK,
    TOKEN_TYPE,
    dimensions,
    served_model,
    usage,
)
from streamfan_otel.options import OtelOptions

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider

    from streamfan import DeliveryReport, End, Stream, StreamReport
    from streamfan_otel.attributes import Attributes

_DURATION_BOUNDS = tuple(0.01 * 2**power for power in range(14))
_TOKEN_BOUNDS = tuple(4**power for power in range(14))
_TTFT_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TPOT_BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class Metrics:
    """Measures each stream that it is told of; to be used as `fan.observe(Metrics())`.

    With `streamfan run` the hook `otel` does so. The sink `otel` measures nothing, so nothing is counted twice.

    Args:
        options: What the stream's meta does not say.
        meter_provider: Whose metrics they are. Unless given, the program's global one as it is when the first stream is
            over; where there is none, one for this process, as the environment says.
    """

    def __init__(self, options: OtelOptions | None = None, *, meter_provider: MeterProvider | None = None) -> None:
        self._options = OtelOptions() if options is None else options
        self._provider = meter_provider
        self._instruments: _Instruments | None = None

    def __call__(self, stream: Stream, report: StreamReport) -> None:
        """Measure a stream that is over.

        Raises:
            ConfigError: Nobody has set up OpenTelemetry, and what would do so is not installed.
        """
        if self._instruments is None:
            self._instruments = _Instruments.of(self._make_meter())
        end = stream.outcome
        # The stream of a model's reasoning is a part of another one, which is measured.
        if end is not None and "of" not in stream.info.meta:
            self._measure(end, report, dimensions(stream.info, end, self._options))
        for delivery in report.deliveries:
            self._instruments.count(delivery)

    def _measure(self, end: End, report: StreamReport, attributes: Attributes) -> None:
        assert self._instruments is not None, "made when the first stream was over"
        self._instruments.duration.record(end.duration, attributes)
        remote = SERVER_ADDRESS in attributes or served_model(end) is not None
        if not remote:
            self._instruments.request.record(end.duration, attributes)
        # Of durations alone the conventions tell which have failed.
        plain = {name: value for name, value in attributes.items() if name != ERROR_TYPE}
        for name, count in usage(end):
            if count is not None:
                kind = "input" if name == INPUT_TOKENS else "output"
                self._instruments.tokens.record(count, {**plain, TOKEN_TYPE: kind})
        if end.ttft is not None:
            first = self._instruments.first_chunk if remote else self._instruments.first_token
            first.record(end.ttft, plain)
        if report.tpot is not None and not remote:
            self._instruments.per_token.record(report.tpot, plain)

    def _make_meter(self) -> Meter:
        from streamfan_otel.environment import need_sdk, program_meter_provider
        from streamfan_otel.identity import NAME, VERSION

        provider = self._provider or program_meter_provider()
        if provider is None:
            need_sdk()
            from streamfan_otel.own import own_meter_provider

            provider = own_meter_provider(self._options.flush_timeout)
        return provider.get_meter(NAME, VERSION)


@dataclass(frozen=True, slots=True)
class _Instruments:
    """What is measured: as the client of a model, as the one who runs it, and as who delivers its text."""

    duration: Histogram
    tokens: Histogram
    first_chunk: Histogram
    request: Histogram
    first_token: Histogram
    per_token: Histogram
    streams: Counter
    delivered: Counter
    undelivered: Counter
    retries: Counter

    @classmethod
    def of(cls, meter: Meter) -> _Instruments:
        def histogram(name: str, unit: str, description: str, bounds: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds)

        return cls(
            duration=histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _DURATION_BOUNDS),
            tokens=histogram(
                "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKEN_BOUNDS
            ),
            first_chunk=histogram(
                "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first chunk.", _DURATION_BOUNDS
            ),
            request=histogram(
                "gen_ai.server.request.duration", "s", "Time from the request to its last token.", _DURATION_BOUNDS
            ),
            first_token=histogram("gen_ai.server.time_to_first_token", "s", "Time to the first token.", _TTFT_BOUNDS),
            per_token=histogram(
                "gen_ai.server.time_per_output_token", "s", "Time for each token after the first.", _TPOT_BOUNDS
            ),
            streams=meter.create_counter("streamfan.sink.streams", "{stream}", "Streams that a sink was to be given."),
            delivered=meter.create_counter("streamfan.sink.delivered", "By", "Text that a sink has taken, in UTF-8."),
            undelivered=meter.create_counter(
                "streamfan.sink.undelivered", "By", "Text that a sink was not given, or perhaps not, in UTF-8."
            ),
            retries=meter.create_counter("streamfan.sink.retries", "{call}", "Calls to a sink that were made again."),
        )

    def count(self, delivery: DeliveryReport) -> None:
        """A stream at one sink."""
        sink: Attributes = {SINK: delivery.sink}
        self.streams.add(1, {**sink, "streamfan.complete": delivery.complete})
        self.delivered.add(delivery.bytes - delivery.lost - delivery.skipped, sink)
        for reason, size in (("lost", delivery.lost), ("skipped", delivery.skipped), ("missing", delivery.missing)):
            if size:
                self.undelivered.add(size, {**sink, "reason": reason})
        self.retries.add(delivery.retries, sink)
