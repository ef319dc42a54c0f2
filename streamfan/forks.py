"""What becomes of a thread whose callee forks: in the child it is the only one, and has nothing to go on with.

It serves what is the parent's. So the child ends where the call has ended, in the way that whoever forked it wanted.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def leave_child(parent: int, error: BaseException | None = None) -> None:
    """End this process unless it is `parent`; to be asked after each call of foreign code.

    Args:
        parent: The process that the calling thread serves.
        error: What the call has raised, if anything: as at a program's end it decides on the exit code.
    """
    if os.getpid() == parent:
        return
    code = _exit_code(error)
    for stream in (sys.stdout, sys.stderr):
        # Whatever is wrong with it, or closed: nobody is left to be told.
        with suppress(Exception):
            stream.flush()
    # The end of the last thread ends the process too, but always with 0.
    os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    if isinstance(error.code, int):
        return error.code & 0xFF
    if error.code is not None:
        print(error.code, file=sys.stderr)  # noqa: T201 - what sys.exit("text") does
    return 0 if error.code is None else 1
