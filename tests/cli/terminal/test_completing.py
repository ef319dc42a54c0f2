"""Tab in a real shell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.terminal.conftest import Start

SHELL = "exec bash --noprofile --norc -i"


def test_bash_completes_a_sink_and_its_options(start: Start) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    terminal = start(script=SHELL, env={"PATH": path, "PS1": "ready> "})
    terminal.wait("ready>")
    terminal.say('eval "$(_STREAMFAN_COMPLETE=bash_source streamfan)"; clear; echo loa"ded"')
    terminal.wait("loaded")

    terminal.type("streamfan run hi --sink webh")
    terminal.press("Tab")
    terminal.wait("--sink webhook")
    terminal.type("-o webhook.lane.requ")
    terminal.press("Tab")

    # 80 columns: the line may be broken anywhere.
    terminal.wait_until(lambda screen: "-o webhook.lane.required=" in screen.replace("\n", ""), "the option")
