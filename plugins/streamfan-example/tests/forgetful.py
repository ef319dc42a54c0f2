"""The collector with a switch: it can be told to lose an answer, and to say something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan_example.collector import Collector

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan import StreamInfo


class ForgetfulCollector(Collector):
    """Does what every collector does, but for the next line.

    Attributes:
        instead: What is answered next, without looking at what was asked.
        lose_next: Whether it takes what comes next, and then hangs up instead of answering.
    """

    def __init__(self, folder: Path, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), folder, token)
        self.folder = folder
        self.instead: str | None = None
        self.lose_next = False

    @property
    def target(self) -> str:
        """Its address, as a sink's target."""
        return f"127.0.0.1:{self.server_address[1]}"

    def text(self, stream: StreamInfo) -> str:
        """What it holds of an attempt at a stream."""
        path = self.folder / f"{stream.id}-{stream.attempt}.txt"
        return path.read_bytes().decode() if path.exists() else ""

    def answer(self, line: bytes) -> str:
        """Answer, or not."""
        instead, self.instead = self.instead, None
        if instead is not None:
            return instead
        answer = super().answer(line)
        lose, self.lose_next = self.lose_next, False
        if lose:
            raise ConnectionAbortedError
        return answer
