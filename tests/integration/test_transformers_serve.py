"""The openai source against `transformers serve`, with the bundled model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest

from streamfan import demo, subscribe
from tests.support.command import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Done
    from tests.support.redis_server import RedisServer

PROMPT = "A story about a fox"
# Loading torch and transformers takes a slow machine its time.
PATIENCE = 150
pytestmark = pytest.mark.timeout(2 * PATIENCE)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server, without `/v1`."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["-m", "transformers.cli.transformers", "serve", str(demo.PATH), "--host", "127.0.0.1"]
    options = ["--port", str(port), "--device", "cpu", "--default-seed", "0"]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command, *options], env=environ, stdout=log, stderr=log)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/health", process, folder / "log")
            # The model is loaded at the first question.
            whole(f"http://127.0.0.1:{port}", temperature=0)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            if httpx2.get(url, trust_env=False).json() == {"status": "ok"}:
                return
        sleep(0.2)
    pytest.fail(f"it does not start: {log.read_text()}")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def run(shell: Shell, url: str, *arguments: str) -> Done:
    return shell.run("run", PROMPT, "--source", f"openai:{url}", *arguments)


def whole(url: str, *, seed: int | None = None, **settings: float) -> str:
    """What the server answers in one piece, by the official client."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=str(demo.PATH),
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=100,
            seed=openai.omit if seed is None else seed,
            temperature=settings["temperature"],
        )
    assert answer.choices[0].message.content
    return answer.choices[0].message.content


def test_greedy_text_is_the_servers_in_every_sink(shell: Shell, url: str, server: RedisServer) -> None:
    sinks = ("--sink", "file:a.txt", "--sink", server.url, "--sink", "b=file:b.jsonl", "-o", "b.format=jsonl")

    done = run(shell, url, "-n", "100", "-t", "0", "--summary", "json", *sinks)

    expected = whole(url, temperature=0)
    assert done.code == 0, done
    assert done.stdout.decode() == shell.file("a.txt") == expected
    assert "".join(subscribe(server.url, done.summary["streams"][0]["id"])) == expected
    assert '"usage":{' in shell.file("b.jsonl")


def test_sampled_text_is_the_servers_for_the_same_seed(shell: Shell, url: str) -> None:
    texts = [run(shell, url, "-n", "100", "-t", "0.9", "--seed", seed).stdout.decode() for seed in ("7", "8")]

    assert texts[0] == whole(url, temperature=0.9, seed=7)
    assert texts[0] != texts[1]


def test_prompt_is_completed_where_it_is_no_message(shell: Shell, url: str) -> None:
    done = run(shell, f"{url}/v1", "--no-chat", "-n", "30", "-t", "0")

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        answer = client.completions.create(model=str(demo.PATH), prompt=PROMPT, max_tokens=30, temperature=0)
    assert done.code == 0, done
    assert done.stdout.decode() == answer.choices[0].text


def test_error_in_the_stream_is_an_error(shell: Shell, url: str) -> None:
    done = run(shell, url, "-o", 'source.body={"temperature": -1}')

    assert (done.code, done.stdout) == (1, b"")
    assert "the server failed: " in done.stderr


def test_field_that_the_server_does_not_know_is_named(shell: Shell, url: str) -> None:
    done = run(shell, url, "-o", 'source.body={"top_k": 5}')

    assert done.code == 1
    assert "answered 422" in done.stderr
    assert "top_k" in done.stderr


def test_server_that_never_says_a_word_is_given_up(shell: Shell, url: str) -> None:
    # Beam sampling, with which this server's streamer is given no token and no end.
    beams = 'source.body={"generation_config": "{\\"num_beams\\": 2, \\"do_sample\\": true}"}'

    done = run(shell, url, "-o", beams, "-o", "source.first_token_timeout=3s")

    assert (done.code, done.stdout) == (1, b"")
    assert "no token has come for 3 s" in done.stderr
    assert run(shell, url, "-n", "5", "-t", "0").code == 0
