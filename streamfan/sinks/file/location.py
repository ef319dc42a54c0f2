"""Where a file is, and how it is reached.

A path that somebody wrote whole may lead anywhere, also through symbolic links. Below the directory that a template was
given none is followed, and nothing but a file is opened: who can write there could otherwise choose what is
overwritten, or make a pipe that nobody reads.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.sinks.file.access import check_directory, directory_of, refusal, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamfan.errors import SinkError
    from streamfan.sinks.file.claims import File

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What file systems without synced directories say.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file is.

    Attributes:
        path: Its path.
        base: The directory below which no symbolic link is followed, nothing but a file is opened, and directories are
            created; None if `path` is reached as it is.
    """

    path: Path
    base: Path | None = None

    def __str__(self) -> str:
        return repr(shown(self.path))

    def named(self, name: str) -> Location:
        """The location in the same directory with another name."""
        return replace(self, path=self.path.with_name(name))

    def open(self, flags: int, permissions: int = 0) -> int:
        """Open the file, and create its directory if a template named it.

        Args:
            permissions: Those of a file that this creates.

        Raises:
            OSError: It cannot be opened.
        """
        with self._directory(create=bool(flags & os.O_CREAT)) as directory:
            descriptor = os.open(
                self._seen_from(directory), flags | self._wary | os.O_CLOEXEC, permissions, dir_fd=directory
            )
        if self.base is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return descriptor

    def rename(self, name: str) -> None:
        """Give the file another name in its directory; what has that name is replaced.

        Raises:
            OSError: It cannot be renamed.
        """
        with self._directory() as directory:
            old, new = self._seen_from(directory), self.named(name)._seen_from(directory)
            os.replace(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def unlink(self) -> None:
        """Remove the file, if it is there.

        Raises:
            OSError: It cannot be removed.
        """
        with self._directory() as directory, suppress(FileNotFoundError):
            os.unlink(self._seen_from(directory), dir_fd=directory)

    @property
    def status(self) -> os.stat_result | None:
        """What is there; None if nothing is, or it cannot be reached."""
        try:
            return self.path.stat(follow_symlinks=self.base is None)
        except OSError:
            return None

    def names(self, file: File) -> bool:
        """Whether `file` is what is there."""
        status = self.status
        return status is not None and (status.st_dev, status.st_ino) == file

    def sync_directory(self) -> None:
        """Put the file's name on the disk, and the names of the directories that a template gave.

        Raises:
            OSError: That has failed; a second try that works would prove nothing.
        """
        directory = self.path.parent
        _sync(directory)
        while self.base is not None and directory != self.base:
            directory = directory.parent
            _sync(directory)

    def failure(self, error: OSError) -> SinkError:
        """The error for a sink to raise when `open` has raised `error`."""
        if error.errno == errno.ENOENT:
            check_directory(directory_of(self.path), self.path)
        link = self._link()
        if error.errno in {errno.ELOOP, errno.ENOTDIR} and link is not None:
            return Permanent(f"{shown(link)!r} is a symbolic link, which is not followed here")
        if error.errno == errno.ENXIO and self.base is not None:
            return Permanent(f"{self} is no file but a pipe, a socket or a device, which is not written to here")
        return refusal(self.path, "cannot be opened", error.errno or errno.EIO)

    @property
    def _wary(self) -> int:
        # A pipe would wait for its reader.
        return 0 if self.base is None else os.O_NOFOLLOW | os.O_NONBLOCK

    def _link(self) -> Path | None:
        """The first symbolic link below the base."""
        if self.base is None:
            return None
        below = [self.path, *self.path.parents]
        return next((path for path in reversed(below[: len(self._below_base)]) if path.is_symlink()), None)

    @property
    def _below_base(self) -> tuple[str, ...]:
        return () if self.base is None else self.path.relative_to(self.base).parts

    def _seen_from(self, directory: int | None) -> str:
        return str(self.path) if directory is None else self.path.name

    @contextmanager
    def _directory(self, *, create: bool = False) -> Iterator[int | None]:
        """The file's directory, opened; None where its path leads there without a link to be refused."""
        names = self._below_base[:-1]
        if self.base is None or not names:
            yield None
            return
        directory = os.open(self.base, _DIRECTORY)
        try:
            for name in names:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=directory)
                above, directory = directory, os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.close(above)
            yield directory
        finally:
            os.close(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)
