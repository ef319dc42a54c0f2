"""`streamfan run` with the plugin installed: the environment says where spans and metrics go."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.collector import PATIENCE, Collector, attributes

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = "Once upon a time"
_DURATION = "gen_ai.client.operation.duration"


def run(*arguments: str, text: str = _TEXT, **environment: str) -> subprocess.CompletedProcess[str]:
    """`streamfan run` on `text`, with no variable of OpenTelemetry but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACE"))}
    return subprocess.run(
        [sys.executable, "-m", "streamfan", "run", "--source", "stdin", *arguments],
        input=text,
        capture_output=True,
        text=True,
        # Longer than a slow machine takes; an option goes before it.
        env={**inherited, "STREAMFAN_OTEL_FLUSH_TIMEOUT": "20s", **environment},
        timeout=PATIENCE,
        check=False,
    )


def test_sink_sends_spans_and_the_hook_metrics(collector: Collector) -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (done.returncode, done.stdout) == (0, _TEXT), done.stderr
    (span,) = collector.spans
    assert attributes(span.attributes)["gen_ai.operation.name"] == "text_completion"
    (point,) = collector.metrics[_DURATION].histogram.data_points
    assert point.count == 1, "measured twice"
    delivered = {
        attributes(point.attributes)["streamfan.sink.id"]: point.as_int
        for point in collector.metrics["streamfan.sink.delivered"].sum.data_points
    }
    assert delivered == {"otel": len(_TEXT), "stdout": len(_TEXT)}


def test_options_of_the_sink_count_for_metrics_too(collector: Collector) -> None:
    run("-s", "otel", "-o", "otel.provider=mine", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    (span,) = collector.spans
    (point,) = collector.metrics[_DURATION].histogram.data_points
    named = attributes(span.attributes), attributes(point.attributes)
    assert [each["gen_ai.provider.name"] for each in named] == ["mine", "mine"]


def test_metrics_need_no_sink(collector: Collector) -> None:
    done = run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (done.returncode, done.stderr) == (0, done.stderr)
    assert collector.spans == []
    assert collector.metrics[_DURATION].histogram.data_points[0].count == 1


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "streamfan"),
        ({"OTEL_SERVICE_NAME": "writer"}, "writer"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=writer,team=a"}, "writer"),
    ],
)
def test_service_is_named_by_the_environment(collector: Collector, environment: dict[str, str], name: str) -> None:
    run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **environment)

    (request,), measurements = collector.traces, collector.measurements
    for resource in (request.resource_spans[0].resource, measurements[-1].resource_metrics[0].resource):
        assert attributes(resource.attributes)["service.name"] == name


def test_parent_of_the_process_is_the_parent_of_its_streams(collector: Collector) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, TRACEPARENT=f"00-{trace_id}-{span_id}-01")

    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace_id, span_id)


def test_text_is_sent_only_where_that_is_wanted(collector: Collector) -> None:
    run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    run("-s", "otel", "-o", "otel.capture_content=true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    without, with_text = (request.SerializeToString() for request in collector.traces)
    assert _TEXT.encode() not in without
    assert _TEXT.encode() in with_text


def test_console_exporter_leaves_stdout_to_the_text() -> None:
    done = run("-s", "otel", OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console")

    assert (done.returncode, done.stdout) == (0, _TEXT)
    assert "text_completion" in done.stderr
    assert _DURATION in done.stderr


def test_exporters_can_be_left_out(collector: Collector) -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_METRICS_EXPORTER="none")

    assert done.returncode == 0
    assert len(collector.spans) == 1
    assert collector.measurements == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "pigeon"}, "'pigeon'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "'smoke'"),
    ],
)
def test_what_the_environment_asks_in_vain_is_said_in_a_line(environment: dict[str, str], said: str) -> None:
    done = run("-s", "otel", **environment)

    assert (done.returncode, done.stdout) == (0, _TEXT), "what is not measured is generated all the same"
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("headers", ["api-key: hunter2", "a=b,hunter2", "a=hunter2%0Ab", 'a="hunter2"'])
@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
def test_header_that_is_none_is_refused_and_not_shown(collector: Collector, variable: str, headers: str) -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **{variable: headers})

    assert (done.returncode, done.stdout) == (0, _TEXT), done.stderr
    assert f"${variable} has what is no header" in done.stderr
    assert "hunter2" not in done.stderr


def test_endpoint_that_is_no_url_is_refused_and_not_shown() -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT="user:hunter2@localhost:4318")

    assert (done.returncode, done.stdout) == (0, _TEXT), done.stderr
    assert "$OTEL_EXPORTER_OTLP_ENDPOINT is no URL" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("headers", ["authorization=Bearer%20x=", "a=Bearer x/+:=, b = c,", "a="])
def test_headers_are_written_as_the_sdk_reads_them(collector: Collector, headers: str) -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_HEADERS=headers)

    assert (done.returncode, done.stdout, done.stderr) == (0, _TEXT, "")
    assert len(collector.spans) == 1


def test_environment_without_a_word_of_it_imports_nothing() -> None:
    code = (
        "import sys, types\n"
        "from streamfan import Fan\n"
        "from streamfan.plugins import plugins\n"
        "with Fan() as fan:\n"
        "    for observer in plugins().observers():\n"
        "        fan.observe(observer, patience=30)\n"
        "    fan.open().end()\n"
        "print(sorted(name for name in sys.modules if name.startswith(('opentelemetry', 'streamfan_otel'))))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=PATIENCE, check=True
    )

    assert "'streamfan_otel'" in done.stdout, "the hook was not found"
    assert "opentelemetry." not in done.stdout


# A collector that is dead


def _closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["nobody listens", "nobody answers"])
def test_dead_collector_fails_nothing_and_the_exit_does_not_wait_for_it(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    # Ten minutes, which nobody waits for here.
    exporter = {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    with Collector(hanging=True) as collector:
        url = collector.url if kind == "nobody answers" else _closed_port()
        done = run(
            "-s", f"file:{file}", "-s", "otel", "-o", "otel.flush_timeout=0.5s", "--summary", "json",
            OTEL_EXPORTER_OTLP_ENDPOINT=url, **exporter,
        )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, _TEXT), done.stderr
    assert file.read_text() == _TEXT
    summary = json.loads(next(line for line in done.stderr.splitlines() if line.startswith("{")))
    said = {sink["id"]: sink["error"] for sink in summary["sinks"]}
    assert said["file"] is None
    assert "within 0.5 s" in said["otel"]


def test_collector_that_refuses_is_told_of(tmp_path: Path) -> None:
    done = run("-s", "otel", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:1/", OTEL_EXPORTER_OTLP_TIMEOUT="0.1")

    assert done.returncode == 0
    assert "spans that were not exported: 1" in done.stderr
