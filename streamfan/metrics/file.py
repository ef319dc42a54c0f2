"""Metrics in a file, as node_exporter's textfile collector and people read them."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from streamfan.errors import UsageError
from streamfan.metrics.collector import FanCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.metrics.collector import Reporting

log = logging.getLogger("streamfan.metrics")

_EVERY = 5.0
# How long the end waits for a disk that does not answer.
_LAST_WRITE = 2.0


class MetricsFile:
    """Keeps a file up to date with the metrics of a fan; whoever opens it sees all of them as of one moment.

    Args:
        path: Replaced by every write.
        every: Seconds between writes.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, path: str | Path, *, every: float = _EVERY) -> None:
        self._every = every
        self._said = str(path)
        self._over = threading.Event()
        self._failing = False
        try:
            # Resolved: the program may go elsewhere.
            self._path = Path(path).parent.resolve() / Path(path).name
            self._check()
        except (OSError, RuntimeError, ValueError) as error:
            # Too long a name, a loop of links, a NUL.
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"metrics cannot be written to {self._said!r}: {why}") from None

    @contextmanager
    def following(self, fan: Reporting) -> Iterator[None]:
        """Write it now, every few seconds, and once more at the end; never raises because of the file."""
        registry = CollectorRegistry()
        registry.register(FanCollector(fan))
        # daemon: a disk that does not answer must not keep the interpreter alive.
        thread = threading.Thread(target=self._run, args=(registry,), name="streamfan-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(_LAST_WRITE)

    def _check(self) -> None:
        with suppress(FileNotFoundError):
            # A write puts a new file in the place of what is there: of /dev/null too, or of a link to who knows what.
            if not stat.S_ISREG(self._path.lstat().st_mode):
                raise OSError(errno.EINVAL, "it is no file")
        # Tried, for permissions are not all there is: nothing is left of it.
        with TemporaryFile(dir=self._path.parent):
            pass

    def _run(self, registry: CollectorRegistry) -> None:
        over = False
        while not over:
            self._write(registry)
            over = self._over.wait(self._every)
        self._write(registry)

    def _write(self, registry: CollectorRegistry) -> None:
        try:
            self._replace(generate_latest(registry))
        except OSError as error:
            # Once for an outage: the next write may well succeed.
            if not self._failing:
                log.warning("metrics cannot be written to %r: %s", self._said, error.strerror or error)
            self._failing = True
        else:
            self._failing = False

    def _replace(self, data: bytes) -> None:
        # Not named after the file, whose own name may be as long as one can be.
        part = self._path.with_name(f".streamfan-{os.getpid()}-{threading.get_ident()}")
        try:
            part.write_bytes(data)
            part.replace(self._path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
