"""Beginning a new file when one has become large or old; what was written stays, under a name with the time in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from streamfan.errors import WireError
from streamfan.events import Gap, decode, now
from streamfan.sinks.file.access import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.sinks.file.compress import Compressor
    from streamfan.sinks.file.handle import Handle
    from streamfan.sinks.file.location import Location

# More than an event can have: text of 64 KiB, each byte escaped, and its token ids.
_FIRST_LINE = 1 << 20
_STEP = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is renamed so that a new one begins, and what happens to it then.

    Attributes:
        max_bytes: No file is larger, unless a single line is; None for no limit.
        max_age: Seconds from the first event to the last; None for no limit.
        compressor: Takes the files that were renamed.
        clock: What time it is.
    """

    max_bytes: int | None = None
    max_age: float | None = None
    compressor: Compressor | None = None
    clock: Callable[[], datetime] = now

    def born(self, handle: Handle) -> datetime:
        """When the first event came into a file: one that was there says so, for it may be older than the program."""
        return (_first_time(handle) if handle.regular and not handle.created else None) or self.clock()

    def due(self, size: int, more: int, born: datetime) -> bool:
        """Whether a file of `size` bytes from `born` is to be renamed before `more` bytes come."""
        if size == 0:
            return False
        too_large = self.max_bytes is not None and size + more > self.max_bytes
        return too_large or (self.max_age is not None and (self.clock() - born).total_seconds() >= self.max_age)

    def rename(self, location: Location) -> None:
        """Give the file at `location` a name with the time in it; to be called with the file locked.

        Raises:
            SinkError: It cannot be renamed.
        """
        target = _free(location, self.clock())
        try:
            location.rename(target.path.name)
        except OSError as error:
            raise refusal(location.path, "cannot be rotated", error.errno or 0) from error
        if self.compressor is not None:
            self.compressor.put(target)


def _free(location: Location, time: datetime) -> Location:
    """Where nothing is: names sort by time, and none is given twice, however fast files follow one another."""
    while True:
        stamp = f"{time.astimezone(UTC):%Y%m%dT%H%M%S}.{time.microsecond // 1000:03}Z"
        target = location.named(f"{location.path.stem}-{stamp}{location.path.suffix}")
        # The plain name first: it goes when the compressed file is there.
        if target.status is None and target.named(f"{target.path.name}.gz").status is None:
            return target
        time += _STEP


def _first_time(handle: Handle) -> datetime | None:
    data = os.pread(handle.descriptor, _FIRST_LINE, 0)
    if not data:
        return None
    try:
        event = decode(data.partition(b"\n")[0])
    except WireError:
        event = None
    if event is None or isinstance(event, Gap):
        return datetime.fromtimestamp(os.fstat(handle.descriptor).st_mtime, UTC)
    return event.time
