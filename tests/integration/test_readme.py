"""The README's own blocks, run as they stand; only the address of Redis is the test's."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import Fan
from streamfan.config import configure
from tests.support.distributions import Site
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, str(README), "exec"), names)
    return names


def test_python_blocks_run_in_their_order(
    redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis.url)
    streamer, start, drop_in, by_hand, read, shout = blocks("python")

    names = run(streamer, {"__name__": "readme"})
    assert (tmp_path / "answer.txt").read_text(encoding="utf-8") == capfd.readouterr().out
    stream_id = names["fan"].report.streams[0].id
    run(read, {"stream_id": stream_id})
    assert (tmp_path / "answer.txt").read_text(encoding="utf-8") == capfd.readouterr().out
    run(start, names)
    assert (tmp_path / "story.txt").read_text(encoding="utf-8") == capfd.readouterr().out
    run(drop_in, names)
    assert (tmp_path / "streamed.txt").read_text(encoding="utf-8") == capfd.readouterr().out != ""
    run(by_hand, names)
    assert capfd.readouterr().out.endswith("Once upon a time\n")
    run(shout, {"__name__": "shout"})
    assert capfd.readouterr().out == "HELLO\n"


def test_sink_of_the_readme_works_as_a_plugin(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = blocks("python")[-1].partition("\nwith Fan(")[0]
    assert 'shout = "your_module"' in blocks("ini")[0]

    with Site(tmp_path / "site") as site:
        site.install("streamfan-shout", code="")
        (site.folder / "your_module.py").write_text(code, encoding="utf-8")
        entry_points = "[streamfan.sinks]\nshout = your_module\n"
        (site.folder / "streamfan_shout-1.0.dist-info" / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        with Fan("shout") as fan, fan.open() as stream:
            stream.write("hello")

    assert capfd.readouterr().out == "HELLO"


def test_commands_of_the_readme_read_what_the_sink_wrote(redis: RedisServer) -> None:
    (listing, reading, _) = next(block for block in blocks("sh") if "redis-cli" in block).splitlines()
    with Fan(redis.url) as fan, fan.open() as stream:
        stream.write("hello")
    cli = ["redis-cli", "-u", redis.url, "--raw"]
    listing, reading = (line.replace('-u "$REDIS_URL" ', "") for line in (listing, reading))

    (id,) = subprocess.run(
        [*cli, *shlex.split(listing, comments=True)[1:]], check=True, capture_output=True, text=True
    ).stdout.split()
    reading = reading.replace("ID", id)
    entries = subprocess.run(
        [*cli, *shlex.split(reading, comments=True)[1:]], check=True, capture_output=True, text=True
    ).stdout

    assert id == stream.id
    assert '"text":"hello"' in entries


def test_configuration_block_is_understood(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "streamfan.toml").write_text(block, encoding="utf-8")

    configured = configure(config=str(tmp_path / "streamfan.toml"), environ={})

    assert [sink.id for sink in configured.sinks] == ["stdout", "live"]


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)]+)\)", README.read_text(encoding="utf-8")))
def test_links_lead_somewhere(target: str) -> None:
    assert (README.parent / target).exists()
