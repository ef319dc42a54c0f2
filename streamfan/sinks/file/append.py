"""Appending to a file, whole pieces only.

A disk that fills up takes a part of a piece before it refuses the rest. That part is taken back at once, so the same
piece can be written again, and the file never shows a torn one.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, SinkClosed, SinkError
from streamfan.sinks.file.access import check_directory, directory_of, lock, refusal, unlock
from streamfan.sinks.file.claims import claim, release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLAGS = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
# Generated text is private, as shell histories and mail are; an existing file keeps the permissions it has.
_MODE = 0o600


class AppendFile:
    """A file that is open for appending; created if need be, readable by its owner alone.

    Args:
        path: May also name a device or a named pipe; from those nothing can be taken back.
        empty: Drop what the file holds.
        shared: Other programs append to it too: it is locked for every piece, and its end looked at before one.
        follow: Whether `path` may be a symbolic link.

    Raises:
        Retryable: It cannot be opened now.
        Permanent: It cannot be opened, or is open here already and not shared.
    """

    def __init__(self, path: Path, *, empty: bool = False, shared: bool = False, follow: bool = True) -> None:
        self._path = path
        try:
            self._descriptor = _opened(path, shared=shared, follow=follow)
        except OSError as error:
            raise _not_opened(path, error, follow=follow) from error
        status = os.fstat(self._descriptor)
        self._regular = stat.S_ISREG(status.st_mode)
        self._file = (status.st_dev, status.st_ino)
        self._locking = self._regular and shared
        if self._regular:
            self._begin(empty=empty, shared=shared)
        self._at_line_start = True
        self._written = 0

    def append(self, data: bytes, *, own_line: bool = False) -> None:
        """Append `data`, all of it; a call that raises has appended nothing.

        Args:
            own_line: Begin a new line first if the last one is not finished.

        Raises:
            Retryable: There is no room now.
            SinkClosed: It is a pipe, and nobody reads it any more.
            Permanent: It cannot be written to, or a part of `data` is there and cannot be taken back.
        """
        with self._turn():
            self._write(b"\n" + data if own_line and not self._at_line_start else data)

    def check_alone(self) -> None:
        """Look whether the file holds what was appended, and nothing else; where it was emptied, and is not shared.

        Raises:
            Permanent: Another program has written to it, or has emptied it.
        """
        if self._regular and os.fstat(self._descriptor).st_size != self._written:
            raise Permanent(
                f"{str(self._path)!r} is not what was written to it: another program writes there too\n"
                "Try: a path of its own, or the option format=jsonl for both"
            )

    def close(self) -> None:
        """Close the file.

        Raises:
            Permanent: The file system only now says that it could not store everything.
        """
        if self._regular:
            release(self._file)
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise Permanent(f"{str(self._path)!r} may be incomplete: {error.strerror}") from error

    def _begin(self, *, empty: bool, shared: bool) -> None:
        if not claim(self._file, shared=shared):
            os.close(self._descriptor)
            raise Permanent(
                f"{str(self._path)!r} is being written by another file sink of this program\n"
                "Try: a path of its own, or the option format=jsonl for both"
            )
        # Not on opening: what another sink is writing must not be dropped.
        if empty:
            try:
                os.ftruncate(self._descriptor, 0)
            except OSError as error:
                self.close()
                raise refusal(self._path, "cannot be emptied", error.errno or errno.EIO) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._locking:
            yield
            return
        lock(self._descriptor)
        try:
            self._look_at_end()
            yield
        finally:
            unlock(self._descriptor)

    def _look_at_end(self) -> None:
        size = os.fstat(self._descriptor).st_size
        # The descriptor stands where the last piece ended: at another size somebody else has been here, or crashed.
        if size != os.lseek(self._descriptor, 0, os.SEEK_CUR):
            self._at_line_start = size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n"

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise self._failure(error, len(data) - len(rest)) from error
        self._at_line_start = data.endswith(b"\n")
        self._written += len(data)

    def _failure(self, error: OSError, written: int) -> SinkError:
        if isinstance(error, BrokenPipeError):
            return SinkClosed(f"{str(self._path)!r} is not read any more")
        if self._take_back(written):
            return refusal(self._path, "cannot be written to", error.errno or errno.EIO)
        self._at_line_start = False
        return Permanent(
            f"{str(self._path)!r} took a part of a piece, which cannot be taken back, and then: {error.strerror}"
        )

    def _take_back(self, written: int) -> bool:
        """Remove the last `written` bytes; False where that is impossible, or where others may have written since."""
        if written == 0:
            return True
        try:
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if not self._regular or os.fstat(self._descriptor).st_size != end:
                return False
            os.ftruncate(self._descriptor, end - written)
        except OSError:
            return False
        return True


def _opened(path: Path, *, shared: bool, follow: bool) -> int:
    # Looking at the end needs reading; but a named pipe opened for both would never say that its reader is gone.
    reading = shared and (path.is_file() or not path.exists())
    flags = _FLAGS | (os.O_RDWR if reading else os.O_WRONLY)
    return os.open(path, flags | (0 if follow else os.O_NOFOLLOW), _MODE)


def _not_opened(path: Path, error: OSError, *, follow: bool) -> SinkError:
    if error.errno == errno.ENOENT:
        check_directory(directory_of(path), path)
    if error.errno == errno.ELOOP and not follow:
        return Permanent(f"{str(path)!r} is a symbolic link, which a path with fields does not follow")
    return refusal(path, "cannot be opened", error.errno or errno.EIO)
