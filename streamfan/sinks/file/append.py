"""Appending to a file, whole pieces only.

A disk that fills up takes a part of a piece before it refuses the rest. That part is taken back at once, so the same
piece can be written again, and the file never shows a torn one.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, SinkClosed, SinkError
from streamfan.sinks.file.access import refusal
from streamfan.sinks.file.handle import Handle

if TYPE_CHECKING:
    from streamfan.sinks.file.location import Location
    from streamfan.sinks.file.options import Sync

# Generated text is private, as shell histories and mail are; an existing file keeps the permissions it has.
PRIVATE = 0o600


class AppendFile:
    """A file that is open for appending, and that nobody else may write to meanwhile; created if need be.

    Args:
        location: May also lead to a device or a named pipe; from those nothing can be taken back.
        empty: Drop what the file holds.
        permissions: Those of a file that this creates.
        fsync: When to make sure that the disk has what was written.

    Raises:
        Retryable: It cannot be opened now.
        Permanent: It cannot be opened, or somebody else is writing to it.
    """

    shared = False
    """Whether others may write to the file too, each of them whole lines."""

    def __init__(
        self, location: Location, *, empty: bool = False, permissions: int = PRIVATE, fsync: Sync = "never"
    ) -> None:
        self.location = location
        self._permissions = permissions
        self._fsync = fsync
        # Looking at the end needs reading, which a file that is emptied need not allow.
        self._reads = not empty
        self._unsynced = ""
        self._name_synced = False
        self._at_line_start = True
        self._handle = self._open()
        try:
            self._begin(empty=empty)
            self._size = self._handle.size
        except OSError as error:
            self._handle.close()
            what = "cannot be emptied" if empty else "cannot be read"
            raise refusal(location.path, what, error.errno or errno.EIO) from error
        except SinkError:
            self._handle.close()
            raise

    def append(self, data: bytes, *, own_line: bool = False) -> None:
        """Append `data`, all of it; a call that raises has appended nothing, unless the error says so.

        Args:
            own_line: Begin a new line first if the last one is not finished.

        Raises:
            Retryable: There is no room now.
            SinkClosed: It is a pipe, and nobody reads it any more.
            Permanent: It cannot be written to or synced, or a part of `data` is there and cannot be taken back.
        """
        self._write(self._on_own_line(data) if own_line else data)

    def sync(self) -> None:
        """Make sure that the disk has everything, the file's name too.

        Raises:
            Permanent: It may not have it. The system forgets what it could not write, so nothing is tried again.
        """
        if not self._handle.regular:
            return
        if not self._unsynced:
            try:
                os.fsync(self._handle.descriptor)
                if not self._name_synced:
                    self.location.sync_directory()
                    self._name_synced = True
                return
            except OSError as error:
                self._unsynced = error.strerror or str(error)
        raise Permanent(f"{self.location} may be incomplete on the disk, it could not be synced: {self._unsynced}")

    def check_alone(self) -> None:
        """Look whether the file holds what was appended, after what was there, and nothing else; unless it is shared.

        Raises:
            Permanent: A program that asks for no lock has written to it, has cut it off, or has taken its name.
        """
        if not self._handle.regular or self.shared:
            return
        self.check_name()
        if self._handle.size != self._size:
            raise Permanent(
                f"{self.location} is not what was written to it: another program writes there too\n"
                "Try: a path of its own, {stream} in the path, or the option format=jsonl in both"
            )

    def check_name(self) -> None:
        """Look whether the file still has its name.

        Raises:
            Permanent: It has none any more, so nobody finds the text, or another one.
        """
        if not self.named:
            raise Permanent(
                f"{self.location} is not the file that was written: another program has removed or replaced it\n"
                "Try: a path of its own"
            )

    @property
    def named(self) -> bool:
        """Whether the file still has its name."""
        return self.location.names(self._handle.file)

    def close(self) -> None:
        """Close the file.

        Raises:
            Permanent: The file system only now says that it could not store everything.
        """
        self._handle.close()

    def _open(self) -> Handle:
        # Also of a file that was there: whoever made it may have been killed before its name was on the disk.
        self._name_synced = False
        return Handle.open(self.location, permissions=self._permissions, shared=self.shared, reads=self._reads)

    def _begin(self, *, empty: bool) -> None:
        """Prepare what was opened.

        Raises:
            OSError: It cannot be prepared.
        """
        if not self._handle.regular:
            return
        # Not on opening: what another sink is writing must not be dropped.
        if empty:
            os.ftruncate(self._handle.descriptor, 0)
        else:
            self._look_at_end()

    def _look_at_end(self) -> None:
        size = self._handle.size
        self._at_line_start = size == 0 or os.pread(self._handle.descriptor, 1, size - 1) == b"\n"

    def _on_own_line(self, data: bytes) -> bytes:
        return data if self._at_line_start else b"\n" + data

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._handle.descriptor, rest) :]
        except OSError as error:
            raise self._failure(error, len(data) - len(rest)) from error
        self._at_line_start = data.endswith(b"\n")
        self._size += len(data)
        if self._fsync == "always":
            self.sync()

    def _failure(self, error: OSError, written: int) -> SinkError:
        if isinstance(error, BrokenPipeError):
            return SinkClosed(f"{self.location} is not read any more")
        if self._take_back(written):
            return refusal(self.location.path, "cannot be written to", error.errno or errno.EIO)
        self._at_line_start = False
        return Permanent(
            f"{self.location} took a part of a piece, which cannot be taken back, and then: {error.strerror}"
        )

    def _take_back(self, written: int) -> bool:
        """Remove the last `written` bytes; False where that is impossible, or where others may have written since."""
        if written == 0:
            return True
        descriptor = self._handle.descriptor
        try:
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            if not self._handle.regular or self._handle.size != end:
                return False
            os.ftruncate(descriptor, end - written)
        except OSError:
            return False
        return True
