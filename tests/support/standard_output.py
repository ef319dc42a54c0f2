"""The stdout sink, with something else as standard output."""

from __future__ import annotations

from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TextIO, cast

from streamfan.sinks.stdout import StdoutOptions, StdoutSink

if TYPE_CHECKING:
    from pathlib import Path


def connected(standard_output: object, *, raw: bool = False) -> StdoutSink:
    """The sink, while `standard_output` is `sys.stdout`."""
    sink = StdoutSink(options=StdoutOptions(raw=raw))
    with redirect_stdout(cast("TextIO", standard_output)):
        sink.connect()
    return sink


class OutputFile:
    """A file that standard output goes to, of a program whose locale knows ASCII only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stream = path.open("w", encoding="ascii")

    @property
    def content(self) -> str:
        """What is in it, as UTF-8."""
        return self._path.read_bytes().decode()
