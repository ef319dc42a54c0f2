"""What several test files start: a collector in this process, and one as a program."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.forgetful import ForgetfulCollector
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[ForgetfulCollector]:
    """A collector that listens, on a port of its own, and asks for a token."""
    with ForgetfulCollector(tmp_path / "collected", token="s3cret") as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A collector as users run it, which can be killed."""
    with Program(tmp_path / "collected") as program:
        yield program
