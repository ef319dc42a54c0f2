"""Metrics of a fan as prometheus_client asks for them: read from its report, each time somebody looks."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from streamfan.durations import Histogram
from streamfan.metrics.catalogue import SINKS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric as Family

    from streamfan.metrics.catalogue import Labelled, Metric, Value
    from streamfan.report import Report


class Reporting(Protocol):
    """What can be watched: a fan."""

    @property
    def report(self) -> Report:
        """What became of everything so far."""


class FanCollector:
    """The metrics of one fan; to be used as `registry.register(FanCollector(fan))`.

    A registry takes one: two fans have metrics of the same names, so each needs a registry of its own.
    """

    def __init__(self, fan: Reporting) -> None:
        self._fan = fan

    def describe(self) -> Iterator[Family]:
        """The metrics without values."""
        for metric in SINKS:
            yield _family(metric, ("sink", *metric.labels))
        for each in STREAMS:
            yield _family(each, each.labels)

    def collect(self) -> Iterator[Family]:
        """The metrics as they are now."""
        report = self._fan.report
        for metric in SINKS:
            values = (((sink.id, *labels), value) for sink in report.sinks for labels, value in metric.read(sink))
            yield _filled(_family(metric, ("sink", *metric.labels)), values)
        for each in STREAMS:
            yield _filled(_family(each, each.labels), each.read(report.metrics))


def _family(metric: Metric[Any], labels: tuple[str, ...]) -> Family:
    match metric.kind:
        case "counter":
            return CounterMetricFamily(metric.name, metric.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(metric.name, metric.help, labels=labels)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.help, labels=labels)


def _filled(family: Family, values: Iterable[Labelled]) -> Family:
    for labels, value in values:
        _add(family, labels, value)
    return family


def _add(family: Any, labels: tuple[str, ...], value: Value) -> None:
    if isinstance(value, Histogram):
        bounds = (*map(floatToGoString, value.bounds), "+Inf")
        family.add_metric(labels, list(zip(bounds, accumulate(value.counts), strict=True)), value.sum)
    else:
        family.add_metric(labels, value)
