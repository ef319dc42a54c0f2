"""Whether a file can be written: found out without changing anything, and said in words.

An error here is what a lane understands: `Retryable` where it may pass, else `Permanent`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from shlex import quote
from time import monotonic, sleep

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.sinks.file.claims import claimed

# Room on the disk and free descriptors come back; nothing else gets better by waiting.
_PASSING = frozenset({errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
# What file systems without locks say.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.02


def shown(path: Path) -> str:
    """`path` as a message names it: from the working directory on, if it is in there."""
    with suppress(FileNotFoundError):
        here = Path.cwd()
        # The root has no name; a path without its first slash would lead elsewhere in any other directory.
        if here.name and path.is_relative_to(here):
            return str(path.relative_to(here))
    return str(path)


def refusal(path: Path, what: str, code: int) -> SinkError:
    """The error for a sink to raise when `path` `what` ("cannot be opened"), for the reason `code` (an `errno`)."""
    kind = Retryable if code in _PASSING else Permanent
    return kind(f"{shown(path)!r} {what}: {os.strerror(code)}")


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
            f"{shown(path)!r} cannot be opened: no directory {shown(directory)!r}\n"
            f"Try: mkdir -p {quote(shown(directory))}"
        ) from None
    except OSError as error:
        raise refusal(path, "cannot be opened", error.errno or errno.EIO) from error
    if not stat.S_ISDIR(mode):
        raise refusal(path, "cannot be opened", errno.ENOTDIR)
    if not _allowed(directory, os.W_OK | os.X_OK):
        raise Permanent(f"{shown(path)!r} cannot be opened: directory {shown(directory)!r} cannot be written to")


def check_file(path: Path, *, shared: bool, reads: bool) -> None:
    """Refuse `path` if it cannot be opened for writing; creates nothing, and changes nothing.

    Args:
        shared: Other programs may write to it too, and hold its lock for moments only.
        reads: It is to be read as well.

    Raises:
        Permanent: It cannot be opened, or another program writes to what only one may.
        Retryable: It cannot be opened now, or another program holds its lock.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            _open_and_close(path, shared=shared, reads=reads)
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


def lock(descriptor: int, patience: float = 0.0) -> None:
    """Lock a file against everybody else who locks it; does nothing on a file system that has no locks.

    Args:
        patience: Seconds to wait for the lock.

    Raises:
        BlockingIOError: Somebody else has locked it.
    """
    deadline, pause = monotonic() + patience, _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Asked again and again: a call that waits could wait for ever.
            if monotonic() >= deadline:
                raise
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def unlock(descriptor: int) -> None:
    """Undo `lock`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def taken(path: Path) -> Permanent:
    """The error for a sink to raise when another program writes to what only one may."""
    return Permanent(
        f"{shown(path)!r} is being written by another program\n"
        "Try: a path of its own, {stream} in the path, or the option format=jsonl in both"
    )


def _open_and_close(path: Path, *, shared: bool, reads: bool) -> None:
    descriptor = os.open(path, (os.O_RDWR if reads else os.O_WRONLY) | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        # A sink of this program may be done before this one opens it; then it is told more than a lock could say.
        if not claimed((status.st_dev, status.st_ino)):
            lock(descriptor)
    except BlockingIOError:
        raise Retryable(f"{shown(path)!r} is locked by another program") if shared else taken(path) from None
    finally:
        # Closing gives the lock back.
        os.close(descriptor)
