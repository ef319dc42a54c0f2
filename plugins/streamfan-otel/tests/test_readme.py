"""What README.md shows, done as it says; only addresses are the test's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.collector import attributes

if TYPE_CHECKING:
    import pytest

    from tests.collector import Collector

LOCAL = "http://localhost:4318"

PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's blocks of code in this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed(block: str, folder: Path, **environment: str) -> str:
    """What a block says at a shell, but for what installs and what is left running."""
    lines = [line for line in block.splitlines() if not line.startswith("pip ") and not line.endswith("&")]
    # The programs of the environment that the tests run in.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_lines_show_a_span_and_metrics(tmp_path: Path) -> None:
    first, _ = blocks("sh")

    shown = typed(first.rstrip() + " 2>&1", tmp_path)

    assert '"trace_id"' in shown
    assert '"gen_ai.client.operation.duration"' in shown


def test_next_lines_bring_a_span_to_the_collector(collector: Collector, tmp_path: Path) -> None:
    _, second = blocks("sh")
    assert LOCAL in second

    typed(second.replace(LOCAL, collector.url), tmp_path)

    assert len(collector.spans) == 1


def test_program_of_the_page_is_traced_and_measured(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced, meta = blocks("python")
    program = tmp_path / "program.py"
    program.write_text(meta + traced.replace("    ...\n", "    fan.open(meta=meta).end()\n"), encoding="utf-8")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)

    subprocess.run([sys.executable, str(program)], timeout=50, check=True)

    (span,) = collector.spans
    assert attributes(span.attributes)["gen_ai.conversation.id"] == "c1"
    assert "gen_ai.client.operation.duration" in collector.metrics


def test_every_option_is_in_the_table_with_its_default() -> None:
    command = [sys.executable, "-m", "streamfan", "sinks", "otel", "--json"]
    described = json.loads(subprocess.run(command, capture_output=True, timeout=50, check=True).stdout)
    options = {option["name"]: option["default"] for option in described["options"]}

    table = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert list(told) == list(options)
    assert {name: told[name] for name in options if options[name]} == {
        name: f"`{default}`" for name, default in options.items() if default
    }
