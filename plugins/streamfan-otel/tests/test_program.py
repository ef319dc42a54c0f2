"""A program that has set up OpenTelemetry by itself, or has left that to the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.testing import RecordingSink, play
from streamfan_otel import OtelOptions, OtelSink
from tests.collector import PATIENCE, Collector, wait_until

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))

from streamfan import Fan
from streamfan_otel import Metrics

with Fan("otel") as fan:
    fan.observe(Metrics(), patience=30)
    with fan.open(model="tiny") as stream:
        stream.write("Once")

print(*(span.name for span in exporter.get_finished_spans()))
data = reader.get_metrics_data()
print(*(metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics))
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "TRACE"))]:
        monkeypatch.delenv(name)


def test_providers_of_the_program_are_used_and_not_those_of_the_environment(
    collector: Collector, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(dedent(_PROGRAM))

    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
        timeout=PATIENCE,
        check=True,
    )

    spans, names = done.stdout.splitlines()
    assert spans == "text_completion tiny"
    assert "gen_ai.client.operation.duration" in names.split()
    assert (collector.traces, collector.measurements) == ([], [])


def test_spans_are_exported_and_nothing_is_left_after_disconnect(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    before = set(threading.enumerate())

    play("text", "otel").raise_for_failures()

    assert len(collector.spans) == 1
    mine = [thread for thread in threading.enumerate() if thread not in before]
    wait_until(
        lambda: not any(thread.name.startswith(("streamfan", "OtelBatch")) for thread in mine if thread.is_alive())
    )


def test_many_streams_are_all_exported(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)

    with Fan("otel") as fan:
        for _ in range(1500):
            fan.open().end()

    assert len({span.span_id for span in collector.spans}) == 1500


def test_close_timeout_of_the_fan_is_kept_whatever_the_collector_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    other = RecordingSink()

    with Collector(hanging=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        fan = Fan(OtelSink(None, OtelOptions(flush_timeout=600)), other, close_timeout=0.5)
        with fan.open() as stream:
            stream.write("text")
        # Ten minutes are longer than what this test may take.
        fan.close()

    reports = {sink.id: sink for sink in fan.report.sinks}
    assert other.text() == "text"
    assert reports["recording"].error is None
    assert reports["otel"].waiting_in == "disconnect"
    fan.report.raise_for_failures()


def test_own_provider_of_metrics_is_one_for_the_process(collector: Collector) -> None:
    code = (
        "from streamfan import Fan\n"
        "from streamfan_otel import Metrics, OtelOptions\n"
        "for number in (1, 2):\n"
        "    with Fan() as fan:\n"
        "        fan.observe(Metrics(OtelOptions(flush_timeout=20 + number)), patience=30)\n"
        "        fan.open().end()\n"
    )

    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=PATIENCE, check=True)

    assert len(collector.measurements) == 1
    (point,) = collector.metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert point.count == 2


def test_missing_sdk_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan_otel.environment.find_spec", lambda name: None)
    other = RecordingSink()

    report = play("text", "otel", other)

    assert "pip install 'streamfan-otel[sdk]'" in str(report.sinks[0].error)
    assert other.text() == "text"
    report.raise_for_failures()
