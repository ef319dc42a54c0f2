"""Metrics for Prometheus: what is shown, what is documented, and a file that is always whole."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import DuplicateTimeseries

from streamfan.counters import ErrorType
from streamfan.errors import Permanent, UsageError
from streamfan.events import FinishReason
from streamfan.fan import Fan
from streamfan.flow import Reason
from streamfan.metrics import FanCollector, MetricsFile
from streamfan.metrics import file as file_module
from streamfan.metrics.catalogue import SINKS, STREAMS, Metric
from streamfan.options import LaneOptions
from streamfan.report import State
from tests.support.limits import largest_file, unprivileged
from tests.support.sinks import DEADLINE, FailingSink, GatedSink, MemorySink, always, wait_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
CATALOGUE = [
    *((cast("Metric[Any]", metric), ("sink", *metric.labels)) for metric in SINKS),
    *((cast("Metric[Any]", metric), metric.labels) for metric in STREAMS),
]


@pytest.fixture
def fan() -> Iterator[Fan]:
    """A fan that has met everything that is counted."""
    with Fan(MemorySink(), FailingSink(always("write", Permanent("no")))) as fan:
        for _ in range(2):
            with fan.open("secret-stream", model="secret-model", attempt=None) as stream:
                stream.write("tö", [1, 2])
                stream.write("xt", [3])
        fan.close()
        yield fan


def registry_of(fan: Fan) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(FanCollector(fan))
    return registry


def value(fan: Fan, name: str, **labels: str) -> float | None:
    return registry_of(fan).get_sample_value(name, labels)


# What is shown


def test_values_are_those_of_the_report(fan: Fan) -> None:
    assert value(fan, "streamfan_sink_received_events_total", sink="memory") == 4
    assert value(fan, "streamfan_sink_received_bytes_total", sink="failing") == 10
    assert value(fan, "streamfan_sink_sent_events_total", sink="memory") == 4
    assert value(fan, "streamfan_sink_sent_bytes_total", sink="memory") == 10
    assert value(fan, "streamfan_sink_sent_bytes_total", sink="failing") == 0
    discarded = {"sink": "failing", "reason": "failed", "intentional": "false"}
    assert value(fan, "streamfan_sink_discarded_events_total", **discarded) == 4
    assert value(fan, "streamfan_sink_discarded_bytes_total", **discarded) == 10
    assert value(fan, "streamfan_sink_errors_total", sink="failing", error_type="refused", stage="write") == 2
    assert value(fan, "streamfan_sink_buffer_bytes", sink="memory") == 0
    assert value(fan, "streamfan_sink_state", sink="memory", state="closed") == 1
    assert value(fan, "streamfan_sink_state", sink="failing", state="failed") == 1
    assert value(fan, "streamfan_sink_state", sink="failing", state="closed") == 0
    assert value(fan, "streamfan_streams_total", finish_reason="stop") == 2
    assert value(fan, "streamfan_streams_running") == 0
    assert value(fan, "streamfan_tokens_total") == 6
    assert value(fan, "streamfan_text_bytes_total") == 10
    assert value(fan, "streamfan_time_to_first_token_seconds_count") == 2
    assert value(fan, "streamfan_time_per_output_token_seconds_count") == 2


def test_retries_and_what_waits_are_shown_while_it_works() -> None:
    sink = GatedSink("write")
    with Fan() as fan:
        fan.add(sink, id="slow", lane=LaneOptions(call_timeout=0.05, buffer_bytes=1000))
        fan.add(FailingSink(lambda method, before: ConnectionError() if (method, before) == ("write", 0) else None))
        with fan.open() as stream:
            stream.write("text")
            wait_for(sink.inside)
            wait_until(lambda: value(fan, "streamfan_sink_retries_total", sink="failing") == 1)

            assert value(fan, "streamfan_sink_buffer_bytes", sink="slow") == 4
            assert value(fan, "streamfan_sink_buffer_max_bytes", sink="slow") == 1000
            assert value(fan, "streamfan_sink_buffer_max_bytes", sink="failing") == 64 * 1024 * 1024
            assert value(fan, "streamfan_sink_lag_seconds", sink="slow")
            assert value(fan, "streamfan_streams_running") == 1
            wait_until(lambda: value(fan, "streamfan_sink_state", sink="slow", state="degraded") == 1)
        sink.gate.set()


def test_durations_are_cumulative_buckets(fan: Fan) -> None:
    families = {family.name: family for family in registry_of(fan).collect()}

    samples = families["streamfan_sink_send_duration_seconds"].samples
    buckets = [it for it in samples if it.name.endswith("_bucket") and it.labels["sink"] == "memory"]
    assert [it.value for it in buckets] == sorted(it.value for it in buckets)
    assert buckets[-1].labels["le"] == "+Inf"
    (count,) = (it for it in samples if it.name.endswith("_count") and it.labels["sink"] == "memory")
    assert buckets[-1].value == count.value > 0


def test_both_text_formats_parse(fan: Fan) -> None:
    registry = registry_of(fan)

    plain = {family.name for family in parse(generate_latest(registry).decode())}
    openmetrics: str = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    strict = {family.name for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]

    assert plain == strict == {metric.name.removesuffix("_total") for metric, _ in CATALOGUE}


def test_no_label_tells_of_a_stream_or_has_more_values_than_are_known(fan: Fan) -> None:
    known: dict[str, set[str]] = {
        "sink": {sink.id for sink in fan.report.sinks},
        "intentional": {"true", "false"},
        "reason": set(Reason),
        "error_type": set(ErrorType),
        "stage": {"connect", "open", "write", "gap", "close", "beat", "disconnect", "size"},
        "state": set(State),
        "finish_reason": set(get_args(FinishReason)),
    }

    samples = [sample for family in registry_of(fan).collect() for sample in family.samples]

    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        assert {name for name, value in labels.items() if value not in known[name]} == set()
    assert "secret" not in generate_latest(registry_of(fan)).decode()


def test_document_says_what_each_reason_means_and_which_are_intentional() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    intentional = rows["intentional"].partition(", else")[0]

    assert re.findall(r"`(\w+)`: ", rows["reason"]) == [str(reason) for reason in Reason]
    assert re.findall(r"`(\w+)`", intentional) == ["true", *(str(reason) for reason in Reason if reason.intentional)]


def test_alert_of_the_document_is_about_every_reason_but_that_the_reader_has_left() -> None:
    (condition,) = re.findall(r"discarded_bytes_total\{(.*?)\}", DOCUMENT.read_text(encoding="utf-8"))

    assert condition == f'reason!="{Reason.LEFT}"'


def test_registry_is_told_all_names_when_a_fan_is_registered(fan: Fan) -> None:
    registry = registry_of(fan)

    with Fan() as other, pytest.raises(DuplicateTimeseries):
        registry.register(FanCollector(other))


def test_fan_without_sinks_and_streams_has_metrics() -> None:
    with Fan() as fan:
        assert value(fan, "streamfan_streams_total", finish_reason="stop") == 0
        assert value(fan, "streamfan_time_to_first_token_seconds_sum") == 0


# What is documented


@pytest.mark.parametrize(("metric", "labels"), CATALOGUE, ids=lambda it: getattr(it, "name", ""))
def test_name_says_what_prometheus_wants_to_know(metric: Metric[Any], labels: tuple[str, ...]) -> None:
    assert re.fullmatch(r"streamfan(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    if metric.unit in {"bytes", "seconds"}:
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
    assert all(re.fullmatch("[a-z_]+", label) for label in labels)


def test_document_has_the_metrics_that_there_are_and_no_others() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `streamfan_")]

    assert rows == [
        f"| `{metric.name}` | {metric.kind} | {metric.unit} | {', '.join(f'`{it}`' for it in labels)} | {metric.help} |"
        for metric, labels in CATALOGUE
    ]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("reason", set(Reason)),
        ("error_type", set(ErrorType)),
        ("state", set(State)),
        ("finish_reason", set(get_args(FinishReason))),
    ],
)
def test_document_has_the_values_that_a_label_can_have(label: str, values: set[str]) -> None:
    (row,) = re.findall(rf"^\| `{label}` \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert set(re.findall(r"`([a-z_]+)`", row)) == values


# The extra


def test_missing_extra_is_named_with_its_command() -> None:
    script = "import sys; sys.modules['prometheus_client'] = None\nimport streamfan.fan\nimport streamfan.metrics"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)

    assert "streamfan.metrics needs prometheus_client, which is not installed" in done.stderr
    assert "pip install 'streamfan[metrics]'" in done.stderr


# The file


def families_in(path: Path) -> set[str]:
    return {family.name for family in parse(path.read_text(encoding="utf-8")) if family.samples}


def test_file_is_there_at_the_start_and_holds_everything_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    with Fan(MemorySink()) as fan, MetricsFile(path, every=60).following(fan):
        wait_until(path.exists)
        with fan.open() as stream:
            stream.write("text")
        fan.close()

    assert 'streamfan_sink_sent_bytes_total{sink="memory"} 4.0' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_file_is_kept_up_to_date_and_is_whole_whenever_somebody_looks(tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    with Fan(MemorySink()) as fan, MetricsFile(path, every=0.001).following(fan), fan.open() as stream:
        wait_until(path.exists)
        expected = families_in(path)
        for _ in range(50):
            stream.write("text")
            assert families_in(path) == expected
        wait_until(lambda: 'sent_bytes_total{sink="memory"} 200.0' in path.read_text())


def test_full_disk_is_told_once_and_passes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "m.prom"
    sink = MemorySink()
    with Fan(sink) as fan, MetricsFile(path, every=0.01).following(fan):
        wait_until(path.exists)
        before = path.read_text()
        with largest_file(1000), fan.open() as stream:
            wait_until(lambda: "cannot be written" in caplog.text)
            stream.write("text")
            wait_for(sink.written)
            assert path.read_text().count("\n") == before.count("\n"), "the last whole file stays"
        wait_until(lambda: path.read_text() != before)

    assert sink.text() == "text"
    assert [record.levelno for record in caplog.records if "cannot be written" in record.message] == [logging.WARNING]
    assert list(tmp_path.iterdir()) == [path], "and nothing is left beside it"


def test_disk_that_does_not_answer_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked, left = threading.Event(), threading.Event(), threading.Event()

    def write(*_: object) -> None:
        asked.set()
        answered.wait()

    monkeypatch.setattr(file_module.MetricsFile, "_replace", write)
    monkeypatch.setattr(file_module, "_LAST_WRITE", 0.1)

    def follow() -> None:
        with Fan() as fan, MetricsFile(tmp_path / "m.prom").following(fan):
            wait_for(asked)
        left.set()

    threading.Thread(target=follow, daemon=True).start()

    assert left.wait(DEADLINE)
    answered.set()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing/m.prom", "No such file or directory"),
        (".", "it is no file"),
        ("folder", "it is no file"),
        ("/dev/null", "it is no file"),
        ("link", "it is no file"),
        ("file/m.prom", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null"),
    ],
)
def test_path_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("")
    Path("link").symlink_to("file")

    with pytest.raises(UsageError, match=why):
        MetricsFile(path)


def test_name_may_be_as_long_as_names_can_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ("m" * 250 + ".prom")
    with Fan(MemorySink()) as fan, MetricsFile(path).following(fan):
        pass

    assert families_in(path)
    assert caplog.text == ""


def test_folder_that_may_not_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)

    with unprivileged(), pytest.raises(UsageError, match="Permission denied"):
        MetricsFile(tmp_path / "m.prom")


def test_nothing_is_left_of_looking_whether_a_file_can_be_written(tmp_path: Path) -> None:
    MetricsFile(tmp_path / "m.prom")

    assert list(tmp_path.iterdir()) == []
