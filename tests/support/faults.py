"""The switch of all fault injectors: with `pytest --without-faults` they do nothing.

A test of a guarantee that passes even then has shown nothing. Whatever brings a fault about is marked with `injects`.
"""

from __future__ import annotations

import resource
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

P = ParamSpec("P")

_off = False


def switch_off() -> None:
    """Let nothing go wrong from now on; to be called before the other modules of this package are imported."""
    global _off
    _off = True


def switched_off() -> bool:
    """Whether nothing goes wrong."""
    return _off


def injects(act: Callable[P, object]) -> Callable[P, None]:
    """Mark what makes something go wrong: it does nothing where that is switched off."""

    @wraps(act)
    def perhaps(*arguments: P.args, **named: P.kwargs) -> None:
        if not _off:
            act(*arguments, **named)

    return perhaps


def patience(seconds: float) -> float:
    """How long to wait for what must happen; where nothing goes wrong, much of it never does."""
    return min(seconds, 2.0) if _off else seconds


def full_device() -> Path:
    """A device without room for a single byte."""
    return Path("/dev/null" if _off else "/dev/full")


@injects
def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and it is gone."""
    process.kill()
    process.wait()


@injects
def signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal."""
    process.send_signal(number)


@injects
def forbid_larger_files(size: int) -> None:
    """Let no file of this process grow beyond `size` bytes, from now on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
