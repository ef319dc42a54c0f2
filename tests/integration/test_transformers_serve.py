"""The openai source against `transformers serve`, with the bundled model."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import openai
import pytest

from streamfan import demo, subscribe
from tests.support.command import Shell
from tests.support.served_model import PATIENCE, PROMPT, serving, whole
from tests.support.tmux import Tmux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.command import Done
    from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(2 * PATIENCE)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = ("-m", "transformers.cli.transformers", "serve", str(demo.PATH), "--device", "cpu", "--default-seed", "0")
    with serving(tmp_path_factory.mktemp("serve"), *command) as base:
        yield base


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def run(shell: Shell, url: str, *arguments: str) -> Done:
    return shell.run("run", PROMPT, "--source", f"openai:{url}", *arguments)


def test_greedy_text_is_the_servers_in_every_sink(shell: Shell, url: str, server: RedisServer) -> None:
    sinks = ("--sink", "file:a.txt", "--sink", server.url, "--sink", "b=file:b.jsonl", "-o", "b.format=jsonl")

    done = run(shell, url, "-n", "100", "-t", "0", "--summary", "json", *sinks)

    expected = whole(url)
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


def test_tokens_are_the_servers(shell: Shell, url: str) -> None:
    sinks = ("--sink", "a=file:a.jsonl", "-o", "a.format=jsonl", "--progress")

    done = run(shell, url, "-n", "30", "-t", "0", "--summary", "json", *sinks)

    stream = done.summary["streams"][0]
    assert f'"usage":{{"completion_tokens":{stream["tokens"]},' in shell.file("a.jsonl").replace(" ", "")
    assert stream["tokens"] == done.summary["metrics"]["tokens"] > 1
    assert stream["tpot"] > 0
    assert f"{stream['tokens']} of 30 tokens" in done.stderr


def answers(url: str, *questions: str, tokens: int) -> list[str]:
    """What the server says to one question after the other, by the official client."""
    said: list[Any] = []
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for question in questions:
            said.append({"role": "user", "content": question})
            answer = client.chat.completions.create(
                model=str(demo.PATH), messages=said, max_tokens=tokens, temperature=0
            )
            said.append({"role": "assistant", "content": answer.choices[0].message.content})
    return [each["content"] for each in said if each["role"] == "assistant"]


def test_server_knows_what_was_said_before(shell: Shell, url: str) -> None:
    questions = (PROMPT, "And then?")

    done = shell.run("chat", "--source", f"openai:{url}", "-n", "30", "-t", "0", text="\n".join(questions))

    expected = answers(url, *questions, tokens=30)
    assert (done.code, done.stdout.decode()) == (0, "\n".join(expected)), done
    assert expected[1] != answers(url, questions[1], tokens=30)[0]


def test_interrupted_answer_is_kept_and_the_conversation_goes_on(tmp_path: Path, url: str) -> None:
    # No end of its own, as good as never.
    endless = 'source.body={"generation_config": "{\\"min_new_tokens\\": 100000, \\"max_new_tokens\\": 100000}"}'
    with closing(Tmux(tmp_path, "chat", "--source", f"openai:{url}", "-o", endless, "-s", "file:{stream}.txt")) as chat:
        chat.wait(">>>")
        for turn, question in enumerate(("first", "second"), 1):
            chat.say(question)
            _wait_until(partial(_has_texts, tmp_path, turn))
            chat.press("C-c")
            chat.wait_until(partial(_has_interrupted, turn), "interrupted")
        chat.say("/save chat.json")
        chat.wait("saved to chat.json")

    said = json.loads((tmp_path / "chat.json").read_text())
    assert [message["role"] for message in said] == ["user", "assistant"] * 2
    assert sorted(it.read_text() for it in tmp_path.glob("*.txt")) == sorted(
        message["content"] for message in said if message["role"] == "assistant"
    )


def _has_texts(folder: Path, count: int) -> bool:
    return len([path for path in folder.glob("*.txt") if path.stat().st_size]) == count


def _has_interrupted(count: int, screen: str) -> bool:
    return screen.count("[interrupted]") == count


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not true():
        assert monotonic() < deadline
        sleep(0.05)


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
