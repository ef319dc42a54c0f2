"""Text that a sink was not given, kept in a folder as recordings that can be published again."""

from __future__ import annotations

import logging
import os
import stat
from collections import deque
from itertools import chain, count
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import UsageError, WireError
from streamfan.events import End
from streamfan.recording import lines, read_lines, record

if TYPE_CHECKING:
    from streamfan.report import DeliveryReport, StreamReport
    from streamfan.stream import Stream

log = logging.getLogger("streamfan.spill")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Seconds between two lines about a folder that takes nothing: there may be thousands of streams.
_AGAIN = 10.0


def _lacks_some(delivery: DeliveryReport) -> bool:
    return delivery.error is not None or delivery.lost + delivery.skipped > 0


class Spill:
    """Keeps each stream that some sink was not given completely, whole; to be used as `fan.observe(spill)`.

    Whole, for then any sink can be given it: those that know what they hold go on from there. A recording has its name
    when all of it is written. It outlives this program, however that ends, but not a machine that fails just then.

    Args:
        folder: Where recordings go, one file for each stream; made with the first of them if need be.

    Attributes:
        kept: The recordings, by the id and attempt of their streams.
        unkept: How many streams could not be kept.

    Raises:
        UsageError: The folder cannot be made or written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.kept: dict[tuple[str, int], Path] = {}
        self.unkept = 0
        self._complained = -inf
        self._folder = Path(folder)
        try:
            there = next(path for path in (self._folder, *self._folder.absolute().parents) if path.exists())
        except OSError as error:
            raise UsageError(f"the folder {str(folder)!r} cannot be made: {error.strerror}") from None
        if not there.is_dir():
            raise UsageError(f"the folder {str(folder)!r} cannot be made: {str(there)!r} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise UsageError(f"the folder {str(there)!r} cannot be written to")

    def __repr__(self) -> str:
        return f"<Spill {str(self._folder)!r}>"

    def __call__(self, stream: Stream, report: StreamReport) -> None:
        """Keep `stream` if a sink lacks some of it."""
        lacking = [delivery.sink for delivery in report.deliveries if _lacks_some(delivery)]
        if not lacking:
            return
        names = ", ".join(map(repr, lacking))
        try:
            path = self._keep(stream)
        except OSError as error:
            self.unkept += 1
            self._complain(names, stream, error)
        else:
            self.kept[stream.id, stream.attempt] = path
            log.info("what sink %s lacks of stream %r is kept in %r", names, stream.id, str(path))

    def _complain(self, names: str, stream: Stream, error: OSError) -> None:
        if monotonic() - self._complained < _AGAIN:
            return
        self._complained = monotonic()
        log.error(
            "what sink %s lacks of stream %r could not be kept in %r: %s%s",
            names,
            stream.id,
            str(self._folder),
            error.strerror,
            f" ({self.unkept:,} streams so far)" if self.unkept > 1 else "",
        )

    def _keep(self, stream: Stream) -> Path:
        """Have the recording in the folder; returns where."""
        self._folder.mkdir(parents=True, exist_ok=True)
        suffixes = chain([""], (f"-{number}" for number in count(2)))
        paths = (self._folder / f"{stream.id}-{stream.attempt}{suffix}.jsonl" for suffix in suffixes)
        # What is sent again may fail again, but another try may have got further.
        path = next(path for path in paths if not os.path.lexists(path) or _holds(path, stream))
        if not path.exists():
            self._write(path, stream)
        return path

    def _write(self, path: Path, stream: Stream) -> None:
        # Half a recording would be taken for a whole one.
        part = path.with_suffix(f".{os.getpid()}.part")
        # Of a process that had the same number, or a pipe that nobody reads.
        part.unlink(missing_ok=True)
        try:
            # Private, as other files with generated text are.
            with open(os.open(part, _FLAGS, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
                file.writelines(record(stream))
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _holds(path: Path, stream: Stream) -> bool:
    """Whether a recording ends as `stream` has ended, with the same text."""
    # Anything else is not ours, and a pipe would wait for who writes to it.
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    with path.open("rb") as file:
        try:
            last = [line.event for line in lines(deque(read_lines(file), maxlen=1))]
        except WireError:
            return False
    return any(isinstance(end, End) and stream.outcome and end.sha256 == stream.outcome.sha256 for end in last)
