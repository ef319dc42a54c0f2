"""Compressing files that were rotated, on a thread of its own: neither a model nor a lane waits for it."""

from __future__ import annotations

import gzip
import logging
import os
import stat
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamfan.sinks.file.location import Location

log = logging.getLogger("streamfan.sinks.file")
_BLOCK = 256 * 1024
_LEVEL = 6


class Compressor:
    """Replaces files by compressed ones, `NAME.gz`, one after the other; the thread starts with the first."""

    def __init__(self) -> None:
        self._files: SimpleQueue[Location | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, location: Location) -> None:
        """Compress the file at `location`, which nobody writes to any more; returns at once."""
        self._files.put(location)
        if self._thread is None:
            # daemon: a file that is not compressed is whole as well, and keeps no interpreter alive.
            self._thread = threading.Thread(target=self._run, name="streamfan-file-gzip", daemon=True)
            self._thread.start()

    def stop(self, patience: float) -> None:
        """End the thread; what it has not done within `patience` seconds stays as it is, and is named in the log."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._files.put(None)
        thread.join(patience)
        self._stopping.set()
        thread.join()

    def _run(self) -> None:
        while (location := self._files.get()) is not None:
            try:
                done = not self._stopping.is_set() and self._compress(location)
            except OSError as error:
                log.warning("%s was rotated, and not compressed: %s", location, error.strerror)
                continue
            if not done:
                log.info("%s was rotated, and not compressed: there was no time left", location)

    def _compress(self, location: Location) -> bool:
        """Replace a file; False if there was no time, and then it is still there."""
        name = f"{location.path.name}.gz"
        part = location.named(f"{name}.part")
        try:
            if not self._copied(location, part):
                return False
            # Only now, and only what the disk has: until then the file is the only one with these events.
            part.rename(name)
            location.sync_directory()
            location.unlink()
            return True
        finally:
            part.unlink()

    def _copied(self, location: Location, part: Location) -> bool:
        with os.fdopen(location.open(os.O_RDONLY), "rb") as source:
            permissions = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
            descriptor = part.open(os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, permissions)
            with os.fdopen(descriptor, "wb") as target:
                os.fchmod(descriptor, permissions)
                with gzip.GzipFile(location.path.name, "wb", _LEVEL, target) as packed:
                    while block := source.read(_BLOCK):
                        if self._stopping.is_set():
                            return False
                        packed.write(block)
                target.flush()
                os.fsync(descriptor)
        return True
