"""Every metric there is: its name, what it means, and where in a report its value stands.

Names are `streamfan_[sink_]<what>_<unit>`, with `_total` where they only grow. No label has more values than a fan has
sinks, or this module names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from streamfan.counters import StreamMetrics
from streamfan.durations import Histogram
from streamfan.report import SinkReport, State

Kind = Literal["counter", "gauge", "histogram"]
Value = float | Histogram
Labelled = tuple[tuple[str, ...], Value]
Of = TypeVar("Of", SinkReport, StreamMetrics)


@dataclass(frozen=True, slots=True)
class Metric(Generic[Of]):
    """A metric.

    Attributes:
        unit: What its values are; empty where they only count.
        labels: Names of its labels, but for `sink`, which every metric of sinks has first.
        read: Its values in a report, each with those of its labels.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    read: Callable[[Of], Iterable[Labelled]]


def _plain(value: Value) -> list[Labelled]:
    return [((), value)]


SINKS: tuple[Metric[SinkReport], ...] = (
    Metric(
        "streamfan_sink_received_events_total",
        "counter",
        "events",
        (),
        "Pieces of text that were written to the streams of this sink.",
        lambda sink: _plain(sink.metrics.received.events),
    ),
    Metric(
        "streamfan_sink_received_bytes_total",
        "counter",
        "bytes",
        (),
        "Their UTF-8 bytes.",
        lambda sink: _plain(sink.metrics.received.bytes),
    ),
    Metric(
        "streamfan_sink_sent_events_total",
        "counter",
        "events",
        (),
        "Pieces of text that the sink has taken whole; once, also where they were sent again.",
        lambda sink: _plain(sink.metrics.sent.events),
    ),
    Metric(
        "streamfan_sink_sent_bytes_total",
        "counter",
        "bytes",
        (),
        "UTF-8 bytes that the sink has taken; once, also where they were sent again.",
        lambda sink: _plain(sink.metrics.sent.bytes),
    ),
    Metric(
        "streamfan_sink_discarded_events_total",
        "counter",
        "events",
        ("intentional", "reason"),
        "Pieces of text that will not be delivered any more.",
        lambda sink: [((_said(it.intentional), it.reason), it.events) for it in sink.metrics.discarded],
    ),
    Metric(
        "streamfan_sink_discarded_bytes_total",
        "counter",
        "bytes",
        ("intentional", "reason"),
        "UTF-8 bytes that will not be delivered any more.",
        lambda sink: [((_said(it.intentional), it.reason), it.bytes) for it in sink.metrics.discarded],
    ),
    Metric(
        "streamfan_sink_errors_total",
        "counter",
        "calls",
        ("error_type", "stage"),
        "Calls to the sink that failed, or were abandoned; stage is the method.",
        lambda sink: [((it.error_type, it.stage), it.count) for it in sink.metrics.errors],
    ),
    Metric(
        "streamfan_sink_retries_total",
        "counter",
        "calls",
        (),
        "Calls that were made again for a stream.",
        lambda sink: _plain(sink.retries),
    ),
    Metric(
        "streamfan_sink_buffer_bytes",
        "gauge",
        "bytes",
        (),
        "Text that waits for the sink, or is on its way.",
        lambda sink: _plain(sink.metrics.buffer_bytes),
    ),
    Metric(
        "streamfan_sink_buffer_max_bytes",
        "gauge",
        "bytes",
        (),
        "How far behind the sink may be: the lane option buffer_bytes.",
        lambda sink: _plain(sink.metrics.buffer_max_bytes),
    ),
    Metric(
        "streamfan_sink_lag_seconds",
        "gauge",
        "seconds",
        (),
        "How long the oldest text has waited that is not delivered yet.",
        lambda sink: _plain(sink.lag),
    ),
    Metric(
        "streamfan_sink_state",
        "gauge",
        "",
        ("state",),
        "1 for the state that the sink is in, 0 for the others.",
        lambda sink: [((state,), float(sink.state is state)) for state in State],
    ),
    Metric(
        "streamfan_sink_send_duration_seconds",
        "histogram",
        "seconds",
        (),
        "How long calls of write took that returned; each delivers one merged chunk.",
        lambda sink: _plain(sink.metrics.send_duration),
    ),
)

STREAMS: tuple[Metric[StreamMetrics], ...] = (
    Metric(
        "streamfan_streams_running",
        "gauge",
        "streams",
        (),
        "Streams that have not ended.",
        lambda streams: _plain(streams.running),
    ),
    Metric(
        "streamfan_streams_total",
        "counter",
        "streams",
        ("finish_reason",),
        "Streams that have ended.",
        lambda streams: [((it.finish_reason,), it.count) for it in streams.ended],
    ),
    Metric(
        "streamfan_text_bytes_total",
        "counter",
        "bytes",
        (),
        "UTF-8 bytes of text, of all streams.",
        lambda streams: _plain(streams.bytes),
    ),
    Metric(
        "streamfan_tokens_total",
        "counter",
        "tokens",
        (),
        "Tokens of all streams, by their ids or as a server says at the end; none where nobody knows.",
        lambda streams: _plain(streams.tokens),
    ),
    Metric(
        "streamfan_time_to_first_token_seconds",
        "histogram",
        "seconds",
        (),
        "From opening a stream to its first text; counted when it ends.",
        lambda streams: _plain(streams.ttft),
    ),
    Metric(
        "streamfan_time_per_output_token_seconds",
        "histogram",
        "seconds",
        (),
        "From the first text of a stream to its end, for each token after the first; counted when it ends.",
        lambda streams: _plain(streams.tpot),
    ),
)


def _said(value: bool) -> str:
    return "true" if value else "false"
