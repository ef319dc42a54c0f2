"""A file that appears whole under its name, or not at all.

Until then it is `NAME.part` in the same directory. What never becomes whole stays there.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.sinks.file.access import refusal
from streamfan.sinks.file.append import PRIVATE, AppendFile

if TYPE_CHECKING:
    from streamfan.sinks.file.location import Location
    from streamfan.sinks.file.options import Sync

log = logging.getLogger("streamfan.sinks.file")


class AtomicFile(AppendFile):
    """A file under another name, until it is published.

    Args:
        location: Where it is to appear; what is there until then stays untouched.
    """

    def __init__(self, location: Location, *, permissions: int = PRIVATE, fsync: Sync = "never") -> None:
        check_replaceable(location)
        self._final = location
        self._published = False
        super().__init__(part_of(location), empty=True, permissions=permissions, fsync=fsync)

    def publish(self) -> None:
        """Give the file its name, once the disk has all of it.

        Raises:
            Retryable: There is no room for the name now.
            Permanent: That is not possible, what has the name is another file, or nobody knows whether the disk has it.
        """
        self.sync()
        if not self._published:
            # Whoever may write there can put another file in its place, and that one would be published.
            self.check_name()
            try:
                self._keep_permissions()
                self.location.rename(self._final.path.name)
            except OSError as error:
                what = f"cannot become {self._final}"
                raise refusal(self.location.path, what, error.errno or errno.EIO) from error
            self._published = True
        try:
            self._final.sync_directory()
        except OSError as error:
            raise Permanent(f"{self._final} may be lost in a crash: {error.strerror}") from error

    def close(self) -> None:
        """See `AppendFile.close`; says where a file is that was not published."""
        if not self._published and self.named:
            log.warning(
                "%s was not written, for the text is not whole: what there is stays in %s", self._final, self.location
            )
        super().close()

    def _keep_permissions(self) -> None:
        existing = self._final.status
        if existing is not None:
            os.fchmod(self._handle.descriptor, stat.S_IMODE(existing.st_mode))


def part_of(location: Location) -> Location:
    """Where the file is until it appears at `location`: no link is followed to it, for nobody chose this name."""
    part = location.named(f"{location.path.name}.part")
    return part if part.base is not None else replace(part, base=part.path.parent)


def check_replaceable(location: Location) -> None:
    """Refuse a place where no file can appear.

    Raises:
        Permanent: What is there is a directory, a device or a pipe.
    """
    status = location.status
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise refusal(location.path, "cannot be replaced", errno.EISDIR)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise Permanent(
            f"{location} cannot be replaced: it is not a regular file\n"
            "Try: the option mode=overwrite, which writes to it"
        )
