"""What the tests of the embedded server have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from pathlib import Path


def connect(url: str) -> Any:
    return redis.Redis.from_url(url, decode_responses=True)


def answers(url: str) -> bool:
    try:
        with connect(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def program(folder: Path, name: str, version: str, then: str = "exit 1") -> Path:
    """A program that says it is a server of this version, and does something else."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n{then}\n')
    path.chmod(0o755)
    return path
