"""docs/servers.md and its example, run as they stand; only the addresses are the test's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamfan.sources.websocket import WebSocketOptions
from tests.support.command import Shell
from tests.support.dialects import DONE, chat, chunk, event
from tests.support.model_server import dropped, streamed
from tests.support.receiver import Receiver, answer
from tests.support.websocket_server import SocketServer, said

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "servers.md"
PATIENCE = 50
COUNTED = chat("lo", done=False) + event({"choices": [], "usage": {"completion_tokens": 2}}) + DONE


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def server() -> Iterator[Receiver]:
    """Answers every chat with the same, after some thought, and every completion."""
    thought = event(chunk(reasoning="hm")) + event({"choices": [{"text": "Hel", "delta": {}}]}) + COUNTED
    with Receiver(streamed(thought)) as receiver:
        yield receiver


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "openai:" in line])
def test_command_of_the_page_works(line: str, server: Receiver, shell: Shell) -> None:
    name, *arguments = shlex.split(line.replace("http://localhost:8000", f"http://127.0.0.1:{server.port}"))

    done = shell.run(*arguments)

    assert (name, done.code) == ("streamfan", 0), done
    assert done.stdout == (b"Hello\nhm" if "reasoning" in line else b"Hello")
    if "reasoning" in line:
        assert sorted(path.read_text() for path in shell.folder.glob("*.txt")) == ["Hello", "hm"]
    if "body" in line:
        assert server.posted[0].event["top_p"] == 0.9


def test_command_of_the_page_speaks_to_a_websocket(shell: Shell) -> None:
    (line,) = (line for line in COMMANDS if "ws://" in line)
    with SocketServer() as server:
        server.script(said(chunk("Hello", "stop")))

        done = shell.run(*shlex.split(line.replace("ws://localhost:8000", server.url))[1:])

    assert (done.code, done.stdout) == (0, b"Hello"), done


def test_configuration_of_the_page_is_one(server: Receiver, shell: Shell) -> None:
    (block,) = blocks("toml")
    (shell.folder / "streamfan.toml").write_text(block.replace("localhost:8000", f"127.0.0.1:{server.port}"))
    (shell.folder / "key.txt").write_text("sk-secret\n")

    done = shell.run("run", "hi", "--config", "streamfan.toml")

    assert (done.code, done.stdout) == (0, b"Hello"), done
    (posted,) = server.posted
    assert posted.headers["authorization"] == "Bearer sk-secret"
    assert (posted.event["model"], posted.event["messages"][0]["content"]) == ("my-model", "You are brief.")


def test_program_of_the_page_runs(
    server: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    program = program.replace("localhost:8000", f"127.0.0.1:{server.port}")

    exec(compile(program, str(PAGE), "exec"), {"__name__": "page"})

    assert capfd.readouterr().out == (tmp_path / "answer.txt").read_text() == "Hello"


def test_table_of_options_is_what_there_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    fields = WebSocketOptions.model_fields
    assert [(name, meaning) for name, _, meaning in rows] == [
        (name, field.description) for name, field in fields.items()
    ]
    values = {name: value.strip('"') for name, value, _ in rows if value and value != "{}"}
    assert WebSocketOptions.model_validate(values) == WebSocketOptions()


def run_example(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "any_server.py"), url, "hi", "my-model"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_example_goes_on_after_everything_that_goes_wrong(tmp_path: Path) -> None:
    with Receiver(streamed(COUNTED)) as server:
        server.script(answer(503), dropped(event(chunk("Hel"))))

        done = run_example(f"http://127.0.0.1:{server.port}", tmp_path)

    assert (done.returncode, done.stdout) == (0, "Hello"), done.stderr
    assert (tmp_path / "answer.txt").read_text() == "Hello"
    assert "trying again" in done.stderr
    assert "asking for the rest" in done.stderr
    assert "stop: 2 tokens in " in done.stderr


def test_example_says_that_there_is_only_a_part(tmp_path: Path) -> None:
    with Receiver(answer(422)) as server:
        server.script(dropped(event(chunk("Hel"))))

        done = run_example(f"http://127.0.0.1:{server.port}", tmp_path)

    assert (done.returncode, done.stdout) == (1, "Hel"), done.stderr
    assert "only a part of it: SourceError: " in done.stderr
