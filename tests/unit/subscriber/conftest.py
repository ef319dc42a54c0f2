from __future__ import annotations

import pytest

from streamfan.subscriber import hubs
from tests.support.scripted_hub import ScriptedHub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> ScriptedHub:
    """The hub of whatever is subscribed to."""
    made = ScriptedHub()
    monkeypatch.setattr(hubs, "use", made.use)
    return made
