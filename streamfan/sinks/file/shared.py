"""A file of lines that several programs append to, and that may be renamed at any time.

Whoever writes locks the file for a piece, and then looks whether it still has its name: what was rotated away, by this
program, by another one or by logrotate, gets nothing more, and can be compressed.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable
from streamfan.sinks.file.access import lock, refusal, unlock
from streamfan.sinks.file.append import PRIVATE, AppendFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.sinks.file.handle import Handle
    from streamfan.sinks.file.location import Location
    from streamfan.sinks.file.options import Sync
    from streamfan.sinks.file.rotate import Rotation

# Seconds. A piece takes microseconds; then the lane comes back, and serves its other streams meanwhile.
_PATIENCE = 2.0


class SharedFile(AppendFile):
    """A file that others append lines to as well: it is locked for every piece, and its end looked at before one.

    Args:
        rotation: When to begin a new file.
    """

    shared = True

    def __init__(
        self,
        location: Location,
        *,
        permissions: int = PRIVATE,
        fsync: Sync = "never",
        rotation: Rotation | None = None,
    ) -> None:
        self._rotation = rotation
        super().__init__(location, permissions=permissions, fsync=fsync)

    def append(self, data: bytes, *, own_line: bool = False) -> None:
        """See `AppendFile.append`; Retryable also while another program holds the lock."""
        with self._turn(len(data)):
            super().append(data, own_line=own_line)

    def _open(self) -> Handle:
        handle = super()._open()
        if self._rotation is not None:
            self._born = self._rotation.born(handle)
        return handle

    def _begin(self, *, empty: bool) -> None:
        if self._rotation is not None and not self._handle.regular:
            raise Permanent(f"{self.location} cannot be rotated: it is not a regular file")

    @contextmanager
    def _turn(self, size: int) -> Iterator[None]:
        if not self._handle.regular:
            yield
            return
        try:
            self._wait_for_turn(size)
            yield
        finally:
            unlock(self._handle.descriptor)

    def _wait_for_turn(self, size: int) -> None:
        try:
            lock(self._handle.descriptor, _PATIENCE)
            while self._moved(size):
                self._follow()
                lock(self._handle.descriptor, _PATIENCE)
            # The descriptor stands where the last piece ended: at another size somebody has been here, or crashed.
            if self._handle.size != os.lseek(self._handle.descriptor, 0, os.SEEK_CUR):
                self._look_at_end()
        except BlockingIOError:
            raise Retryable(f"{self.location} is locked by another program") from None
        except OSError as error:
            raise refusal(self.location.path, "cannot be written to", error.errno or errno.EIO) from error

    def _moved(self, size: int) -> bool:
        """Whether the name is not this file's any more; where it is time, the file is renamed now."""
        if not self.location.names(self._handle.file):
            return True
        if self._rotation is None or not self._rotation.due(self._handle.size, size, self._born):
            return False
        self._rotation.rename(self.location)
        return True

    def _follow(self) -> None:
        """Go on in the file that has the name now, or in a new one; this one stays open if that cannot be had."""
        left, self._handle = self._handle, self._open()
        self._at_line_start = True
        try:
            if self._fsync != "never":
                os.fsync(left.descriptor)
        except OSError as error:
            self._unsynced = error.strerror or str(error)
            raise Permanent(
                f"{self.location} was renamed, and may be incomplete on the disk: {self._unsynced}"
            ) from error
        finally:
            left.close()
