"""For tests: the kit that a sink has to pass, and stand-ins for the two ends of a fan.

`SinkContract` is subclassed by whoever writes a sink; `new_stream`, `chunks` and `ending` make what a sink's methods
take; `RecordingSink`, `ScriptedSource` and `play` are for programs that use a fan. Only the first needs pytest, which
`pip install 'streamfan[testing]'` brings.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from streamfan.errors import MissingExtra

if TYPE_CHECKING:
    from streamfan.testing.contract import SinkContract
    from streamfan.testing.held import Piece, Record
    from streamfan.testing.kit import LoseReply, MakeSink, Received
    from streamfan.testing.playing import play
    from streamfan.testing.recording import Call, RecordingSink
    from streamfan.testing.scripted import ScriptedSource
    from streamfan.testing.values import chunks, ending, new_stream

_HOMES = {
    "Call": "recording",
    "LoseReply": "kit",
    "MakeSink": "kit",
    "Piece": "held",
    "Received": "kit",
    "Record": "held",
    "RecordingSink": "recording",
    "ScriptedSource": "scripted",
    "SinkContract": "contract",
    "chunks": "values",
    "ending": "values",
    "new_stream": "values",
    "play": "playing",
}

__all__ = [
    "Call",
    "LoseReply",
    "MakeSink",
    "Piece",
    "Received",
    "Record",
    "RecordingSink",
    "ScriptedSource",
    "SinkContract",
    "chunks",
    "ending",
    "new_stream",
    "play",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'streamfan.testing' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"streamfan.testing.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise MissingExtra(f"streamfan.testing.{name}", "pytest", "testing") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
