"""Real limits of the operating system, for as long as a test needs them."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from tests.support import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


@contextmanager
def _soft_limit(kind: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: what fits is written, as on a disk that fills up, and then EFBIG."""
    with nullcontext() if faults.switched_off() else _soft_limit(resource.RLIMIT_FSIZE, size):
        yield


def next_descriptor() -> int:
    """The number that the next file to be opened gets."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """At most `count` more files can be open at a time."""
    with _soft_limit(resource.RLIMIT_NOFILE, next_descriptor() + count):
        yield


@contextmanager
def unprivileged() -> Iterator[None]:
    """Without the rights of root, which no permission stops."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
