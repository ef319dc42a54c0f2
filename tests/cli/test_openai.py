"""`streamfan run --source openai`, against a real server that plays one."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.command import TIMEOUT, Shell, read_until
from tests.support.dialects import chat, chunk, event
from tests.support.model_server import dropped, streamed
from tests.support.receiver import Receiver, answer, endless

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-very-secret"
BEGUN = chat("Hel", finish=None, done=False)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def source(server: Receiver) -> str:
    return f"openai:http://127.0.0.1:{server.port}"


def test_text_of_a_server_goes_everywhere(shell: Shell, server: Receiver) -> None:
    server.script(streamed(chat("Once ", "upon")))

    done = shell.run("run", "hi", "--source", source(server), "--model", "m", "-n", "5", "-s", "file:a.txt")

    assert (done.code, done.stdout) == (0, b"Once upon")
    assert shell.file("a.txt") == "Once upon"
    assert server.posted[0].event == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "stream": True,
    }


def test_no_chat_is_a_completion(shell: Shell, server: Receiver) -> None:
    server.script(streamed(event({"choices": [{"text": "upon", "finish_reason": "stop"}]})))

    done = shell.run("run", "Once", "--no-chat", "--source", source(server))

    assert (done.code, done.stdout, server.posted[0].path) == (0, b"upon", "/v1/completions")


def test_answer_that_is_cut_off_is_no_success(shell: Shell, server: Receiver) -> None:
    server.script(dropped(BEGUN))

    done = shell.run("run", "hi", "--source", source(server), "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    assert (done.code, done.stdout) == (1, b"Hel")
    assert "failed: CutOff: " in done.stderr
    assert '"finish_reason":"error"' in shell.file("a.jsonl")


def test_key_is_nowhere_to_be_seen(shell: Shell, server: Receiver) -> None:
    (shell.folder / "key").write_text(f"{KEY}\n")
    (shell.folder / "f.toml").write_text(f"""
        [run]
        source = "{source(server)}"
        [source]
        key = {{ file = "key" }}
    """)
    server.script(answer(503, body=KEY.encode()), answer(401, body=KEY.encode()))

    done = shell.run("run", "hi", "-vv", "--config", "f.toml")

    assert [posted.headers["authorization"] for posted in server.posted] == [f"Bearer {KEY}"] * 2
    assert done.code == 1
    assert "***" in done.stderr
    assert KEY not in done.stderr


def test_chat_says_what_the_server_is_told(shell: Shell, server: Receiver) -> None:
    server.script(streamed(chat("yes")), streamed(chat("no")))

    done = shell.run(
        "chat", "--source", source(server), "-o", "source.system=be brief", text="/system\none\n/system be kind\ntwo\n"
    )

    told = [posted.event["messages"][0]["content"] for posted in server.posted]
    assert (done.code, done.stdout, told) == (0, b"yes\nno", ["be brief", "be kind"]), done
    assert [line for line in done.stderr.splitlines() if "told" in line] == [
        f"streamfan: the model is told: {system}" for system in told
    ]


def test_reasoning_and_body_are_options(shell: Shell, server: Receiver) -> None:
    server.script(streamed(event(chunk(reasoning="hm")) + chat("yes")))
    options = ("-o", "source.reasoning=true", "-o", 'source.body={"top_p": 0.5}', "-s", "file:{stream}.txt")

    done = shell.run("run", "hi", "--source", source(server), *options, "--quiet")

    assert done.code == 0, done
    assert sorted(path.read_text() for path in shell.folder.glob("*.txt")) == ["hm", "yes"]
    assert server.posted[0].event["top_p"] == 0.5


def test_id_of_several_answers_is_refused_before_any_is_asked_for(shell: Shell, server: Receiver) -> None:
    done = shell.run("run", "hi", "--source", source(server), "--id", "mine", "-o", "source.n=2")

    assert (done.code, server.posted) == (2, ())
    assert "--id mine is one stream's id, and source.n makes several" in done.stderr


def test_id_is_the_answers_and_its_reasoning_has_one_that_follows_from_it(shell: Shell, server: Receiver) -> None:
    server.script(streamed(event(chunk(reasoning="hm")) + chat("yes")))
    options = ("-o", "source.reasoning=true", "-s", "file:{stream}.txt", "--quiet", "--id", "mine")

    done = shell.run("run", "hi", "--source", source(server), *options)

    assert done.code == 0, done
    assert {path.name: path.read_text() for path in shell.folder.glob("*.txt")} == {
        "mine.txt": "yes",
        "mine-reasoning.txt": "hm",
    }


def test_interrupt_hangs_up_and_keeps_the_text(shell: Shell, server: Receiver) -> None:
    # One that goes on, to see that nobody listens.
    server.script(endless(b"HTTP/1.1 200 OK\r\n\r\n" + BEGUN, b": there\n\n", 0.01))

    process = shell.start("run", "hi", "--source", source(server))
    read_until(process.stdout, b"Hel")
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 130, stderr
    server.wait_until(lambda: server.connected == 0)


def test_no_server_is_a_usage_error(shell: Shell) -> None:
    done = shell.run("run", "hi", "--source", "openai", env={"OPENAI_BASE_URL": ""})

    assert done.code == 2
    assert "needs the URL of a server" in done.stderr
