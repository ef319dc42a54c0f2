"""`--metrics-file`, as somebody at a shell meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.command import read_until

if TYPE_CHECKING:
    from tests.support.command import Shell

NOT_INSTALLED = "raise ModuleNotFoundError('not here', name='prometheus_client')"


def samples(shell: Shell, name: str = "m.prom") -> dict[tuple[str, str | None], float]:
    """Values by name and sink, of metrics that have no other labels."""
    families = parse(shell.file(name))
    return {
        (it.name, it.labels.get("sink")): it.value
        for family in families
        for it in family.samples
        if it.labels.keys() <= {"sink"}
    }


def test_metrics_at_the_end_are_those_of_the_summary(shell: Shell) -> None:
    done = shell.stdin("héllo", "-s", "file:a.txt", "--metrics-file", "m.prom", "--summary", "json")

    assert (done.code, done.stdout) == (0, "héllo".encode())
    values = samples(shell)
    for sink in done.summary["sinks"]:
        metrics = sink["metrics"]
        assert values["streamfan_sink_sent_bytes_total", sink["id"]] == metrics["sent"]["bytes"] == 6
        assert values["streamfan_sink_received_events_total", sink["id"]] == metrics["received"]["events"]
    assert values["streamfan_text_bytes_total", None] == done.summary["metrics"]["bytes"]


def test_metrics_are_there_while_the_generation_runs(shell: Shell) -> None:
    process = shell.start("run", "--source", "stdin", "--metrics-file", "m.prom")
    assert process.stdin is not None
    process.stdin.write(b"text")
    process.stdin.flush()
    read_until(process.stdout, b"text")

    meanwhile = samples(shell)
    process.communicate(b" and more", timeout=30)

    assert process.returncode == 0
    assert ("streamfan_streams_running", None) in meanwhile
    assert samples(shell)["streamfan_sink_sent_bytes_total", "stdout"] == 13


def test_configuration_file_may_say_where(shell: Shell) -> None:
    (shell.folder / "streamfan.toml").write_text('[run]\nmetrics_file = "m.prom"\n')

    done = shell.stdin("text", "--config", "streamfan.toml")

    assert done.code == 0
    assert samples(shell)["streamfan_sink_sent_bytes_total", "stdout"] == 4


def test_replay_has_metrics_too(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    assert shell.run("replay", "a.jsonl", "--metrics-file", "m.prom").code == 0
    assert samples(shell)["streamfan_sink_sent_bytes_total", "stdout"] == 4


@pytest.mark.parametrize("path", ["missing/m.prom", "/dev/null", "."])
def test_path_that_cannot_be_written_ends_it_before_anything_begins(shell: Shell, path: str) -> None:
    done = shell.stdin("text", "-s", "file:a.txt", "--metrics-file", path)

    assert (done.code, done.stdout) == (2, b"")
    assert f"Error: metrics cannot be written to {path!r}: " in done.stderr
    assert not (shell.folder / "a.txt").exists()


def test_disk_that_is_full_is_a_warning_and_costs_nothing_else(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file:a.txt", "--metrics-file", "m.prom", script='ulimit -f 1; exec "$@"')

    assert (done.code, done.stdout, shell.file("a.txt")) == (0, b"text", "text")
    assert done.stderr == "streamfan: metrics cannot be written to 'm.prom': File too large\n"
    assert [path.name for path in shell.folder.iterdir()] == ["a.txt"]


def test_missing_extra_is_told_with_its_command(shell: Shell) -> None:
    (shell.site / "prometheus_client.py").write_text(NOT_INSTALLED)

    done = shell.stdin("text", "--metrics-file", "m.prom")
    without = shell.stdin("text")

    assert done.code == 2
    assert done.stderr.splitlines() == [
        "Error: streamfan.metrics needs prometheus_client, which is not installed",
        "Try: pip install 'streamfan[metrics]'",
    ]
    assert without.code == 0
