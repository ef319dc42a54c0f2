"""Where an archive is: the path, what may be there, and whether it is still the same file."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from streamfan import Permanent, Retryable, SpecError
from streamfan.errors import SinkError

_OWNER_ONLY = 0o600
# Room on the disk and free descriptors come back; nothing else gets better by waiting.
_PASSING = frozenset({errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
# To close a file takes away the locks that this process has on it, SQLite's too: while one sink of a program makes the
# file, no other one may open it.
_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class Place:
    """The path of an archive.

    Attributes:
        name: The path as it was written, for messages.
        path: The same, whatever the program makes its working directory later.
    """

    name: str
    path: Path

    @classmethod
    def parse(cls, name: str) -> Place:
        """The place that `name` describes; `~` at the beginning stands for the home directory.

        Raises:
            SpecError: It cannot be the path of a file.
        """
        if not name or name.endswith("/") or "\0" in name:
            raise SpecError(f"path {name!r} does not name a file\nTry: a path such as 'archive.db'")
        try:
            return cls(name, Path.cwd() / Path(name).expanduser())
        except RuntimeError as error:
            raise SpecError(f"path {name!r}: {error}") from None
        except FileNotFoundError:
            raise SpecError(f"path {name!r} leads nowhere: the working directory was removed") from None

    def make(self) -> None:
        """Have a regular file there that can be written; a new one is empty, and its owner's alone.

        Raises:
            Retryable: The disk is full, or too many files are open.
            Permanent: There is something else, or nothing can be there.
        """
        try:
            # What a link leads to: the file, and SQLite's own ones beside it, are there.
            path = self.path.resolve()
            self._check_directory(path.parent)
            with _making, suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY))
            mode = path.stat().st_mode
        except (OSError, RuntimeError) as error:
            raise self._refusal(error) from error
        if not stat.S_ISREG(mode):
            raise self._refused("a directory" if stat.S_ISDIR(mode) else "no regular file")
        if not _allowed(path, os.R_OK | os.W_OK):
            raise self._refused(os.strerror(errno.EACCES))

    def identity(self) -> tuple[int, int] | None:
        """Which file has the name now; None if there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_directory(self, directory: Path) -> None:
        if not directory.exists():
            raise self._refused(f"no directory {str(directory)!r}\nTry: mkdir -p {quote(str(directory))}")
        # SQLite has to make files of its own beside an archive.
        if not _allowed(directory, os.W_OK | os.X_OK):
            raise self._refused(f"directory {str(directory)!r} cannot be written to")

    def _refused(self, why: str) -> Permanent:
        return Permanent(f"{self.name!r} cannot be opened: {why}")

    def _refusal(self, error: OSError | RuntimeError) -> SinkError:
        # RuntimeError: links that lead in a circle.
        code = error.errno if isinstance(error, OSError) else errno.ELOOP
        kind = Retryable if code in _PASSING else Permanent
        return kind(f"{self.name!r} cannot be opened: {os.strerror(code or errno.EIO)}")


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
