"""What the page says that readers see first, done as it says."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution
from typing import TYPE_CHECKING

from support.publishing import publish

from streamfan_nats import NatsOptions, NatsSink

if TYPE_CHECKING:
    from support.server import NatsServer

# As it was installed.
PAGE = distribution("streamfan-nats").read_text("METADATA") or ""


def test_reader_of_the_page_reads_a_stream(server: NatsServer) -> None:
    done = publish(NatsSink(server.url))
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    said = subprocess.run(
        [sys.executable, "-c", program.replace("nats://localhost:4222", server.url), done.id],
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert said.stdout.decode() == done.text


def test_page_has_every_option() -> None:
    for name in NatsOptions.model_fields:
        assert re.search(rf"^\| .*`{name}`.* \|.*\|.*\|$", PAGE, re.MULTILINE), name
