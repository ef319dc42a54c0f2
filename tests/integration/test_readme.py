"""The README's own blocks, run as they stand; only the address of Redis is the test's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import Fan
from streamfan.config import configure
from streamfan.demo import PATH
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(PATH)
    inputs = tokenizer("Once upon a time", return_tensors="pt")
    return {"tokenizer": tokenizer, "model": AutoModelForCausalLM.from_pretrained(PATH), "inputs": inputs}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, str(README), "exec"), names)
    return names


def test_python_blocks_run_in_their_order(
    demo: dict[str, Any],
    redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    streamer, by_hand, start, shout = (block.replace("redis://localhost/0", redis.url) for block in blocks("python"))

    names = run(streamer, {**demo})
    assert (tmp_path / "answer.txt").read_text(encoding="utf-8") == capfd.readouterr().out
    run(by_hand, names)
    assert capfd.readouterr().out == "Once upon a time\n"
    with Fan() as fan:
        run(start, {**demo, "fan": fan})
        assert fan.report.finished <= 1
    assert len(capfd.readouterr().out) > 20
    run(shout, {"__name__": "shout"})
    assert capfd.readouterr().out == "HELLO\n"


def test_configuration_block_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("toml")
    (tmp_path / "streamfan.toml").write_text(block, encoding="utf-8")

    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")

    configured = configure(config=str(tmp_path / "streamfan.toml"), environ={})

    assert [sink.id for sink in configured.sinks] == ["stdout", "live"]


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)]+)\)", README.read_text(encoding="utf-8")))
def test_links_lead_somewhere(target: str) -> None:
    assert (README.parent / target).exists()
