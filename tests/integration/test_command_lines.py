"""The commands that the README and the pages without a test of their own show, run as they stand.

Only the addresses are the test's, and what `llm` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import Fan, subscribe
from tests.support.command import Shell
from tests.support.dialects import chat
from tests.support.model_server import streamed
from tests.support.page import blocks, run_line
from tests.support.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

PAGES = ("../README.md", "sources.md", "chat.md")
# These go on until somebody stops them; tests/cli does.
_ENDLESS = ("streamfan redis ", "streamfan tail  ")
LINES = [
    line
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if "streamfan " in line and not line.startswith(_ENDLESS)
]
BATCHES = [line for line in LINES if "--prompts" in line]
RUNS = [line for line in LINES if "streamfan run" in line and line not in BATCHES]
OTHERS = [line for line in LINES if line not in RUNS + BATCHES]


class Reader:
    """Types what a page shows."""

    def __init__(self, shell: Shell, redis: RedisServer) -> None:
        self._shell = shell
        self._redis = redis
        self._environ = {"REDIS_URL": redis.url, "STREAMFAN_RUN_MAX_NEW_TOKENS": "20"}
        (shell.folder / "prompts.txt").write_text("Once upon a time\n\nIn a forest\n")

    def run(self, line: str) -> bytes:
        """Its standard output."""
        line = f"llm() {{ echo a joke; }}\n{line}"
        return run_line(self._shell, line, text="Tell me about a fox\n", env=self._environ).stdout

    @property
    def files(self) -> list[bytes]:
        """The texts that were written."""
        return [path.read_bytes() for path in self._shell.folder.glob("*.txt") if path.name != "prompts.txt"]

    @property
    def streams(self) -> list[bytes]:
        """The texts that are in Redis."""
        ids = self._redis.client.zrange("streamfan:streams", 0, -1)
        return ["".join(subscribe(self._redis.url, id)).encode() for id in ids]


@pytest.fixture
def reader(tmp_path: Path, server: RedisServer) -> Reader:
    return Reader(Shell(tmp_path), server)


@pytest.mark.parametrize("line", RUNS)
def test_text_is_in_every_sink_that_is_named(line: str, reader: Reader) -> None:
    with Receiver(streamed(chat("Once ", "upon"))) as model:
        text = reader.run(line.replace("localhost:8000", f"127.0.0.1:{model.port}"))

    assert text
    assert reader.files == [text] * ("file" in line)
    assert reader.streams == [text] * ("redis" in line)


@pytest.mark.parametrize("line", BATCHES)
def test_each_prompt_has_its_files(line: str, reader: Reader) -> None:
    reader.run(line)

    assert len(reader.files) == (4 if "num_return_sequences=2" in line else 2)


@pytest.mark.parametrize("line", OTHERS)
def test_others_say_what_they_are_asked_for(line: str, reader: Reader, server: RedisServer) -> None:
    with Fan(server.url) as fan, fan.open("STREAM") as stream:
        stream.write("Once")

    text = reader.run(line)

    assert text or any(reader.files)
