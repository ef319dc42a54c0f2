"""A file that is open: claimed in this program, and locked against other programs where only one may write."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.sinks.file.access import lock, taken, unlock
from streamfan.sinks.file.claims import claim, release

if TYPE_CHECKING:
    from streamfan.sinks.file.claims import File
    from streamfan.sinks.file.location import Location

_FLAGS = os.O_APPEND | os.O_CREAT | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Handle:
    """A file that is open.

    Attributes:
        regular: Whether it is on a disk, and no device or pipe: only then it is claimed and locked.
        created: Whether opening it has created it.
    """

    location: Location
    descriptor: int
    file: File
    regular: bool
    created: bool

    @classmethod
    def open(cls, location: Location, *, permissions: int, shared: bool, reads: bool) -> Handle:
        """Open what is at `location` for appending, or create it.

        Args:
            permissions: Those of a file that this creates.
            shared: Others may write to it too.
            reads: Open it for reading as well, if it is a regular file.

        Raises:
            Retryable: It cannot be opened now.
            Permanent: It cannot be opened, or somebody else is writing to it.
        """
        while True:
            handle = cls._opened(location, permissions, reads=reads)
            if not handle.regular:
                return handle
            handle._claim(shared=shared)
            # Otherwise it was renamed between opening and locking: what has the name now is meant.
            if location.names(handle.file):
                return handle
            handle.close()

    @property
    def size(self) -> int:
        """How many bytes the file holds."""
        return os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Give the file back.

        Raises:
            Permanent: The file system only now says that it could not store everything.
        """
        if self.regular:
            release(self.file, self.descriptor)
            # A program that is just being started has the file open too, and would keep it locked.
            unlock(self.descriptor)
        try:
            os.close(self.descriptor)
        except OSError as error:
            raise Permanent(f"{self.location} may be incomplete: {error.strerror}") from error

    @classmethod
    def _opened(cls, location: Location, permissions: int, *, reads: bool) -> Handle:
        try:
            descriptor, created = _open(location, permissions, reads=reads)
        except OSError as error:
            raise location.failure(error) from error
        status = os.fstat(descriptor)
        if created and stat.S_IMODE(status.st_mode) != permissions:
            _permit(location, descriptor, permissions)
        file = (status.st_dev, status.st_ino)
        return cls(location, descriptor, file, stat.S_ISREG(status.st_mode), created)

    def _claim(self, *, shared: bool) -> None:
        """Claim the file for this program, and unless it is shared lock all others out."""
        if not claim(self.file, self.descriptor, shared=shared):
            os.close(self.descriptor)
            raise Permanent(
                f"{self.location} is being written by another file sink of this program\n"
                "Try: a path of its own, or the option format=jsonl for both"
            )
        if shared:
            return
        try:
            lock(self.descriptor)
        except BlockingIOError:
            release(self.file, self.descriptor)
            os.close(self.descriptor)
            raise taken(self.location.path) from None


def _open(location: Location, permissions: int, *, reads: bool) -> tuple[int, bool]:
    """Open what is at `location`; and whether that has created it."""
    mode = os.O_RDWR if reads else os.O_WRONLY
    # Not looked for first: another program may make it in between, and then its permissions are not ours to change.
    with suppress(FileExistsError):
        return location.open(_FLAGS | mode | os.O_EXCL, permissions), True
    status = location.status
    if status is not None and not stat.S_ISREG(status.st_mode):
        # A named pipe opened for both would never say that its reader is gone.
        mode = os.O_WRONLY
    # Where nothing is to be seen, it is a link to nowhere, whose target this creates.
    return location.open(_FLAGS | mode, permissions), status is None


def _permit(location: Location, descriptor: int, permissions: int) -> None:
    try:
        # What the process masks out by default was asked for here.
        os.fchmod(descriptor, permissions)
    except OSError as error:
        os.close(descriptor)
        raise location.failure(error) from error
