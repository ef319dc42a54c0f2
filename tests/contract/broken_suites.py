"""The contract kit on every broken sink, and on those that are not; run by `test_broken_sinks.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from streamfan.sink import Sink
from streamfan.testing import LoseReply, MakeSink, Received, SinkContract
from tests.support.broken_sinks import BROKEN, DESTINATIONS, WHOLE, Heavy, Shelf

if TYPE_CHECKING:
    from pathlib import Path


class Suite(SinkContract):
    """The suite of any of them."""

    kind: ClassVar[type[Sink]] = Shelf

    @pytest.fixture
    def target(self, tmp_path: Path) -> str:
        return f"shelf://{tmp_path}"

    @pytest.fixture
    def sink(self, target: str) -> MakeSink:
        return lambda: self.kind(target)

    @pytest.fixture
    def received(self, target: str) -> Received:
        return lambda stream: list(DESTINATIONS[target].events)

    @pytest.fixture
    def lose_reply(self, target: str) -> LoseReply:
        return DESTINATIONS[target].lose_reply


HEAVY = "test_no_client_library_is_imported_before_connect"
EVERY: tuple[type[Sink], ...] = (*WHOLE, *BROKEN)
for _kind in EVERY:
    _exclude = {} if _kind in {*WHOLE, Heavy} else {HEAVY: "takes a process each, and the module is the same for all"}
    globals()[f"Test{_kind.__name__}"] = type(f"Test{_kind.__name__}", (Suite,), {"kind": _kind, "exclude": _exclude})
