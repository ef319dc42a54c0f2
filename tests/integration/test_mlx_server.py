"""The openai source against the server of mlx-lm, with the bundled model.

It speaks HTTP/1.0, where the end of the connection is that of the answer, and sends comments before the first token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan import demo
from tests.support.command import Shell
from tests.support.served_model import PATIENCE, PROMPT, serving, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("mlx_lm")
pytestmark = pytest.mark.timeout(2 * PATIENCE)
# What it calls the model that it was started with.
MODEL = "default_model"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("serve"), "-m", "mlx_lm", "server", "--model", str(demo.PATH)) as base:
        yield base


def test_greedy_text_is_the_servers_with_its_counts(tmp_path: Path, url: str) -> None:
    shell = Shell(tmp_path)
    sinks = ("--sink", "file:a.txt", "--sink", "b=file:b.jsonl", "-o", "b.format=jsonl")
    source = ("--source", f"openai:{url}", "--model", MODEL, "-o", "source.usage=true")

    done = shell.run("run", PROMPT, *source, "-n", "100", "-t", "0", *sinks)

    assert done.code == 0, done
    assert done.stdout.decode() == shell.file("a.txt") == whole(url, model=MODEL)
    assert '"completion_tokens":' in shell.file("b.jsonl")
