"""The pages that are made from the code are as it is now."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import reference

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_what_the_code_says(name: str) -> None:
    # In a process of its own: what other tests have installed is no part of it.
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.reference", "--check"],
        cwd=reference.DOCS.parent,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert f"docs/{name}" not in done.stderr
    assert (reference.DOCS / name).exists()


def test_page_of_sinks_has_every_builtin_and_all_of_its_options() -> None:
    page = reference.sinks_page()

    for name in ("file", "progress", "redis", "stdout", "webhook"):
        assert f"\n## {name}\n" in page
    assert "| `wait_replicas` | integer | `0` |" in page
    assert "whsec_" in page
    assert "| `when_full` | fail \\| block \\| skip | `fail` |" in page


def test_page_of_sinks_leads_to_those_that_are_distributions_of_their_own() -> None:
    page = reference.sinks_page()

    for name in ("example", "nats", "otel", "sqlite"):
        assert f"| [streamfan-{name}](../plugins/streamfan-{name}) | `{name}`" in page


def test_page_of_commands_has_each_with_its_help() -> None:
    page = reference.cli_page()

    for name in ("run", "chat", "tail", "replay", "sinks", "check", "schema", "redis"):
        assert f"\n## streamfan {name}\n\n```\nUsage: streamfan {name} [OPTIONS]" in page


def test_stale_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)

    missing = reference.main(check=True)
    written = reference.main(check=False)
    fresh = reference.main(check=True)

    assert missing == "not as they would be written: docs/sinks.md, docs/cli.md\nTry: make docs"
    assert (written, fresh) == (None, None)
