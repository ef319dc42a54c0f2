"""Where goes what a plugin prints while it is imported: in the command, stdout carries text or JSON and nothing else.

In anybody else's program what is printed is that program's affair.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_is_kept = False


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Within this, whatever thread imports a plugin, stdout is kept from it."""
    global _is_kept
    before, _is_kept = _is_kept, True
    try:
        yield
    finally:
        _is_kept = before


def aside() -> AbstractContextManager[object]:
    """Have what is printed meanwhile on stderr, and `sys.stdout` afterwards as it was, where stdout is kept."""
    return redirect_stdout(sys.stderr) if _is_kept else nullcontext()
