"""The bundled model behind somebody else's server, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest

from streamfan import demo
from tests.support.redis_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Loading torch and transformers takes a slow machine its time.
PATIENCE = 150
PROMPT = "A story about a fox"


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """The base URL, without `/v1`, of a server that has answered a first question.

    Args:
        folder: For what it leaves behind.
        command: What Python is to run; the port is added.
    """
    port = free_port()
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder)}
    address = ("--host", "127.0.0.1", "--port", str(port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command, *address], env=environ, stdout=log, stderr=log)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/health", process, folder / "log")
            # Some load the model at the first question.
            whole(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def whole(url: str, *, model: str = str(demo.PATH), temperature: float = 0.0, seed: int | None = None) -> str:
    """What the server answers in one piece, by the official client."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=100,
            seed=openai.omit if seed is None else seed,
            temperature=temperature,
        )
    assert answer.choices[0].message.content
    return answer.choices[0].message.content


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            if httpx2.get(url, trust_env=False).json() == {"status": "ok"}:
                return
        sleep(0.2)
    pytest.fail(f"it does not start: {log.read_text()}")
