"""A disk that is full, and has room again."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.events import Text, decode
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.faults import injects
from tests.support.sinks import wait_until
from tests.support.writers import random_text

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = random_text(40_000)
MODES = ["overwrite", "append", "atomic", "resume"]


# Without the rights of root where these suffice, for some machines let nobody be root in a world of his own.
WAYS = (["unshare", "--map-root-user", "--mount"], ["unshare", "--mount"])
MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1" && echo mounted && exec cat'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB, of which a file called `ballast` takes nearly all."""
    for way in WAYS if which("unshare") else ():
        with mounted(way, tmp_path) as path:
            if path is not None:
                (path / "ballast").touch()
                fill(path)
                yield path
                return
    if "CI" in os.environ:
        pytest.fail("no disk can be mounted here, and what a full one does would go untested")
    pytest.skip("no disk can be mounted here; the unit tests limit the size of files instead")


@contextmanager
def mounted(way: list[str], place: Path) -> Iterator[Path | None]:
    """A disk that only one process has mounted, and that is gone with it; None if it cannot be mounted this way."""
    command = [*way, "sh", "-c", MOUNT, "sh", str(place)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        yield Path(f"/proc/{process.pid}/root{place.resolve()}") if process.stdout.readline() else None


@injects
def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        with suppress(OSError):
            while ballast.write(b"\0" * 4096):
                pass
        ballast.truncate(ballast.tell() - 5 * 4096)


def written(path: Path) -> str:
    """The text that a file holds, in whichever format."""
    if path.suffix != ".jsonl":
        return path.read_bytes().decode()
    events = [decode(line) for line in path.read_bytes().splitlines()]
    assert [event.type for event in events] == ["start", *["text"] * (len(events) - 2), "end"]
    texts = [event for event in events if isinstance(event, Text)]
    assert [event.offset for event in texts] == [0, *(event.end for event in texts)][: len(texts)]
    return "".join(event.text for event in texts)


@pytest.mark.guarantee("file", "disk full")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_nothing_is_lost_and_nothing_doubled_by_a_disk_that_was_full(disk: Path, suffix: str, mode: str) -> None:
    path = disk / f"a.{suffix}"
    options = FileOptions.model_validate({"format": suffix.replace("txt", "text"), "mode": mode})

    with Fan(FileSink(str(path), options)) as fan, fan.open() as stream:
        for position in range(0, len(TEXT), 1000):
            stream.write(TEXT[position : position + 1000])
        wait_until(lambda: fan.report.sinks[0].retries >= 2)
        part = path.with_name(f"{path.name}.part") if mode == "atomic" else path
        before = part.stat().st_size
        (disk / "ballast").unlink()

    assert before <= 5 * 4096
    assert fan.report.failures == ()
    assert written(path) == TEXT


@pytest.mark.guarantee("file", "disk full")
def test_text_goes_on_in_another_run_after_the_disk_was_full(disk: Path) -> None:
    path = disk / "a.txt"
    first, second = (FileSink(str(path), FileOptions(mode="resume")) for _ in range(2))

    with Fan(first, close_timeout=0.5) as fan, fan.open() as stream:
        stream.write(TEXT[:1000])
        wait_until(lambda: path.exists() and path.stat().st_size)
        stream.write(TEXT[1000:])
    before = path.stat().st_size
    (disk / "ballast").unlink()
    with Fan(second) as fan, fan.open() as stream:
        stream.write(TEXT)

    assert 0 < before < len(TEXT)
    assert written(path) == TEXT
