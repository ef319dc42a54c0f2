"""A file sink, and what it has written."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan.events import decode
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.deliveries import deliver

if TYPE_CHECKING:
    from streamfan.events import Event

JSONL = FileOptions(format="jsonl")


def connected(target: str | None = None, options: FileOptions | None = None) -> FileSink:
    sink = FileSink(target, options)
    sink.connect()
    return sink


def written(target: str, *texts: str, options: FileOptions | None = None) -> Path:
    """The file `target` after a whole run with a single stream."""
    sink = connected(target, options)
    deliver(sink, *texts)
    sink.disconnect()
    return Path(target)


def text_of(path: str | Path) -> str:
    return Path(path).read_bytes().decode()


def events_of(path: str | Path) -> list[Event]:
    return [decode(line) for line in Path(path).read_bytes().splitlines()]


def names() -> list[str]:
    """What is in the working directory."""
    return sorted(path.name for path in Path().iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
