"""The soak of `benchmarks/`, small; and that it says so where something is lost or kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]


def soak(*arguments: str, change: str = "") -> subprocess.CompletedProcess[str]:
    """The soak in a process of its own, with something changed in it."""
    code = f"import sys; sys.path.insert(0, 'benchmarks'); import soak\n{change}\nsoak.main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def test_nothing_is_lost_or_kept_whatever_the_sinks_do() -> None:
    done = soak("--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    (opened,) = re.findall(r"^([\d,]+) streams", done.stdout, re.MULTILINE)
    held = re.findall(rf"^(\w+) holds {opened} streams as they were$", done.stdout, re.MULTILINE)
    assert held == ["checking", "slow", "troubled", "file", "webhook"]
    faults = "blocked", "disk full", "not now", "refused", "reset", "timeout"
    for fault in (*(f"{each} {moment}" for each in faults for moment in ("after", "before")), "in open", "in close"):
        assert re.search(rf"{fault} \d", done.stdout), fault
    assert re.search(r"the receiver was killed \d\d times", done.stdout)


def test_lost_text_fails_the_soak() -> None:
    forgetful = """
write = soak.Checking.write
soak.Checking.write = lambda self, chunk: None if chunk.offset > 100 else write(self, chunk)
"""
    done = soak("--chunks=1000", "--streams=20", change=forgetful)

    assert done.returncode == 1
    assert re.search(r"^checking: \d+ streams were lost$", done.stderr, re.MULTILINE)


def test_receiver_that_forgets_fails_the_soak() -> None:
    forgetting = """
close = soak.Soak.close
def cut_off(self):
    close(self)
    self.receiver.path.write_bytes(self.receiver.path.read_bytes()[:-10])
soak.Soak.close = cut_off
"""
    done = soak("--chunks=1000", "--streams=20", change=forgetting)

    assert done.returncode == 1
    assert re.search(r"^webhook: 1 streams were lost$", done.stderr, re.MULTILINE)


def test_memory_that_is_kept_fails_the_soak() -> None:
    keeping = """
kept = []
start = soak.Receiver.start
soak.Receiver.start = lambda self: (start(self), kept.append(b"x" * 2**22))
"""
    done = soak("--chunks=1000", "--streams=20", change=keeping)

    assert done.returncode == 1
    assert re.search(r"^memory has grown by [\d.]+ MiB$", done.stderr, re.MULTILINE)
