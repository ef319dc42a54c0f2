"""The collector as users run it: killed in the middle of a stream, and at the other end of `streamfan run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from streamfan import Fan, LaneOptions
from streamfan_example import ExampleOptions, ExampleSink

if TYPE_CHECKING:
    from tests.program import Program


def streamfan(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """A finished run of streamfan, with the token in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "streamfan", *arguments],
        env={**os.environ, "STREAMFAN_EXAMPLE_TOKEN": "s3cret"},
        input=text,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_collector_that_is_killed_and_started_again_has_the_exact_text(program: Program) -> None:
    words = [f"word {number}, día 日本\n" for number in range(300)]
    sink = ExampleSink(program.target, ExampleOptions.model_validate({"token": "s3cret"}))

    with Fan() as fan:
        fan.add(sink, lane=LaneOptions(linger=0.0, max_bytes=64))
        with fan.open() as stream:
            for number, word in enumerate(words):
                stream.write(word)
                if number % 100 == 50:
                    program.kill()
                    program.start()

    fan.report.raise_for_failures()
    (file,) = program.folder.iterdir()
    assert file.read_text(encoding="utf-8") == "".join(words)


def test_command_line_sends_to_it(program: Program) -> None:
    done = streamfan(
        "run", "--source", "stdin", "--quiet", "--sink", f"example:{program.target}", text="Once upon a time"
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (file,) = program.folder.iterdir()
    assert file.read_text(encoding="utf-8") == "Once upon a time"


def test_check_says_that_it_is_reached(program: Program) -> None:
    done = streamfan("check", "--sink", f"example:{program.target}")

    assert done.returncode == 0, done.stderr
    assert f"sink 'example' at {program.target}: reached\n" in done.stdout


def test_streamfan_describes_it() -> None:
    done = streamfan("sinks", "example", "--json")

    described = json.loads(done.stdout)
    assert described["distribution"] == "streamfan-example"
    assert {option["name"]: option["default"] for option in described["options"]} == {"token": "", "timeout": "10s"}
