"""Text that a sink was not given, kept in a folder as recordings that can be published again."""

from __future__ import annotations

import logging
import os
from collections import deque
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan.errors import UsageError
from streamfan.events import End
from streamfan.recording import lines, record

if TYPE_CHECKING:
    from streamfan.report import DeliveryReport, StreamReport
    from streamfan.stream import Stream

log = logging.getLogger("streamfan.spill")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _lacks_some(delivery: DeliveryReport) -> bool:
    return delivery.error is not None or delivery.lost + delivery.skipped > 0


class Spill:
    """Keeps each stream that some sink was not given completely, whole; to be used as `fan.observe(spill)`.

    Whole, for then any sink can be given it: those that know what they hold go on from there.

    Args:
        folder: Where recordings go, one file for each stream; made if need be.

    Attributes:
        kept: The recordings, by the id and attempt of their streams.

    Raises:
        UsageError: The folder cannot be made or written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.kept: dict[tuple[str, int], Path] = {}
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the folder {str(folder)!r} cannot be made: {error.strerror}") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise UsageError(f"the folder {str(folder)!r} cannot be written to")

    def __call__(self, stream: Stream, report: StreamReport) -> None:
        """Keep `stream` if a sink lacks some of it."""
        lacking = [delivery.sink for delivery in report.deliveries if _lacks_some(delivery)]
        if not lacking:
            return
        names = ", ".join(map(repr, lacking))
        try:
            path = self._keep(stream)
        except OSError as error:
            log.error(  # noqa: TRY400 - nobody needs to know where in here
                "what sink %s lacks of stream %r could not be kept in %r: %s",
                names,
                stream.id,
                str(self._folder),
                error.strerror,
            )
        else:
            self.kept[stream.id, stream.attempt] = path
            log.info("what sink %s lacks of stream %r is kept in %r", names, stream.id, str(path))

    def _keep(self, stream: Stream) -> Path:
        """Have the recording in the folder; returns where."""
        suffixes = chain([""], (f"-{number}" for number in count(2)))
        paths = (self._folder / f"{stream.id}-{stream.attempt}{suffix}.jsonl" for suffix in suffixes)
        return next(path for path in paths if self._takes(path, stream))

    def _takes(self, path: Path, stream: Stream) -> bool:
        """Write the recording; False if another one is there."""
        try:
            self._write(path, stream)
        except FileExistsError:
            # What is sent again may fail again, but another try may have got further.
            return _holds(path, stream)
        return True

    def _write(self, path: Path, stream: Stream) -> None:
        # Private, as other files with generated text are.
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.writelines(record(stream))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            # Half a recording would be taken for a whole one.
            path.unlink(missing_ok=True)
            raise


def _holds(path: Path, stream: Stream) -> bool:
    """Whether a recording ends as `stream` has ended, with the same text."""
    with path.open("rb") as file:
        last = [line.event for line in lines(deque(file, maxlen=1))]
    return any(isinstance(end, End) and stream.outcome and end.sha256 == stream.outcome.sha256 for end in last)
