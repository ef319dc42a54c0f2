"""Terminals for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.tmux import Tmux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Tmux]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `streamfan` in a terminal; its folder is `tmp_path`."""
    terminals: list[Tmux] = []

    def begin(*arguments: str, **more: Any) -> Tmux:
        terminals.append(Tmux(tmp_path, *arguments, **more))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()
