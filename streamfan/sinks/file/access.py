"""Whether a file can be written: found out without changing anything, and said in words.

An error here is what a lane understands: `Retryable` where it may pass, else `Permanent`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from shlex import quote
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable, SinkError

if TYPE_CHECKING:
    from pathlib import Path

# Room on the disk and free descriptors come back; nothing else gets better by waiting.
_PASSING = frozenset({errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
# What file systems without locks say.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


def refusal(path: Path, what: str, code: int) -> SinkError:
    """The error for a sink to raise when `path` `what` ("cannot be opened"), for the reason `code` (an `errno`)."""
    kind = Retryable if code in _PASSING else Permanent
    return kind(f"{str(path)!r} {what}: {os.strerror(code)}")


def directory_of(path: Path) -> Path:
    """The directory in which opening `path` would create a file: a link to nowhere creates its target."""
    return (path.resolve() if path.is_symlink() else path).parent


def check_directory(directory: Path, path: Path) -> None:
    """Refuse `path` if nothing can be created in `directory`, which it is in.

    Raises:
        Permanent: There is no such directory, or it cannot be written to.
    """
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        raise Permanent(
            f"{str(path)!r} cannot be opened: no directory {str(directory)!r}\nTry: mkdir -p {quote(str(directory))}"
        ) from None
    except OSError as error:
        raise refusal(path, "cannot be opened", error.errno or errno.EIO) from error
    if not stat.S_ISDIR(mode):
        raise refusal(path, "cannot be opened", errno.ENOTDIR)
    if not _allowed(directory, os.W_OK | os.X_OK):
        raise Permanent(f"{str(path)!r} cannot be opened: directory {str(directory)!r} cannot be written to")


def create_directory(directory: Path) -> None:
    """Create `directory`, and those it is in, where they do not exist yet.

    Raises:
        Retryable: There is no room now.
        Permanent: It cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(directory, "cannot be created", error.errno or errno.EIO) from error


def check_file(path: Path, *, shared: bool) -> None:
    """Refuse `path` if it cannot be opened for writing; creates nothing, and changes nothing.

    Args:
        shared: It is to be locked as well.

    Raises:
        Permanent: It cannot be opened.
        Retryable: It cannot be opened now, or another program holds its lock.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            _open_and_close(path, shared=shared)
            return
    except FileNotFoundError:
        check_directory(directory_of(path), path)
        return
    except OSError as error:
        raise refusal(path, "cannot be opened", error.errno or errno.EIO) from error
    # Not opened for a try: a pipe would wait for its reader, and its reader would see an end.
    if stat.S_ISDIR(mode):
        raise refusal(path, "cannot be opened", errno.EISDIR)
    if not _allowed(path, os.W_OK):
        raise refusal(path, "cannot be opened", errno.EACCES)


def lock(descriptor: int, *, wait: bool = True) -> None:
    """Lock a file against everybody else who locks it; does nothing on a file system that has no locks.

    Raises:
        BlockingIOError: It is locked, and `wait` is false.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def unlock(descriptor: int) -> None:
    """Undo `lock`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _open_and_close(path: Path, *, shared: bool) -> None:
    descriptor = os.open(path, (os.O_RDWR if shared else os.O_WRONLY) | os.O_CLOEXEC)
    try:
        if shared:
            lock(descriptor, wait=False)
    except BlockingIOError:
        raise Retryable(f"{str(path)!r} is locked by another program") from None
    finally:
        # Closing gives the lock back.
        os.close(descriptor)
