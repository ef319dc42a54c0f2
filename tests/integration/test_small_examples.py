"""The examples that need no server, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dialects import chat, event
from tests.support.model_server import streamed
from tests.support.receiver import Receiver

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 100


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


class Run:
    """Runs an example in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, *arguments: str, said: str = "") -> tuple[str, str]:
        """What it writes to stdout and stderr, where somebody types what is `said`."""
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, input=said.encode(), capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    def kept(self, name: str) -> str:
        """What is in a file that it has written."""
        return (self.folder / name).read_bytes().decode()


def number(pattern: str, text: str) -> float:
    """The number that is found there."""
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])


def test_story_is_on_the_terminal_and_in_the_file(run: Run) -> None:
    text, said = run("story", "Once upon a time")

    assert run.kept("story.txt") == text != ""
    assert "kept in story.txt]" in said


def test_code_monitor_stops_the_model_at_the_first_line_that_is_no_python(run: Run) -> None:
    text, said = run("code_monitor", "Once upon a time")

    # A model this quick may be done by then.
    assert re.search(r"\[(cancelled|stop|length): line \d+: .+\]", said)
    assert text


def test_translation_shows_how_many_tokens_there_are(run: Run) -> None:
    _, said = run("translation")

    shown = [int(count) for count in re.findall(r"(\d+) of 100 tokens, [^\n]+; behind: stdout", said)]
    assert shown == sorted(shown)
    assert 0 < shown[-1] <= 100
    assert f"[{shown[-1]} tokens in" in said


def test_tokens_are_counted_and_not_chunks(run: Run) -> None:
    text, said = run("count_tokens")

    assert 0 < number(r"\[(\d+) tokens", said) <= 50
    assert text


def test_streamer_of_transformers_gets_a_file_by_one_argument(run: Run) -> None:
    text, _ = run("to_file")

    assert run.kept("output.txt") + "\n" == text


def test_every_callback_is_told_everything(run: Run) -> None:
    text, said = run("callback")

    count = len(text) - 1
    assert f"[complete: {count} characters]" in said
    assert f"[sent: {count} characters]" in said


def test_retries_repeat_nothing(run: Run) -> None:
    text, said = run("retries")

    assert text == run.kept("retried.txt")
    assert text.startswith(" there was a robot")
    assert text.endswith("the way home.\n")
    assert (text.count("robot"), said.count("failed: the server went away")) == (1, 3)


def test_metrics_are_those_of_tokens(run: Run) -> None:
    _, said = run("metrics")

    assert 0 < number(r"(\d+) tokens", said) <= 100
    assert number(r"first token: ([\d.]+) ms", said) > 0
    assert number(r"rate: ([\d.]+) tokens per second", said) > 0
    average, median, last = (number(rf"{name} ([\d.]+) ms", said) for name in ("average", "p50", "p99"))
    assert 0 < median <= last
    assert average > 0


def test_chat_answers_what_is_asked_and_keeps_each_answer(run: Run) -> None:
    text, said = run("chat", said="A story about a fox\nAnd about a cat\nquit\nnever asked\n")

    # The ids of streams, of which their names are made, are in no order.
    written = sorted(run.folder.glob("chat-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    kept = [path.read_text() for path in written]
    assert (len(kept), said.count("You: ")) == (2, 3)
    # On stdout an answer begins on a line of its own.
    assert "".join("".join(kept).split()) == "".join(text.split()) != ""


def test_chat_with_a_server_sends_what_was_said_and_forgets_what_failed(run: Run) -> None:
    with Receiver() as server:
        server.script(streamed(chat("one")), streamed(event({"error": "no"})), streamed(chat("three")))

        text, said = run("chat", f"http://127.0.0.1:{server.port}", said="first\nsecond\nthird\nquit\n")

    asked = [[it["content"] for it in posted.event["messages"]] for posted in server.posted]
    system = "You are a helpful assistant."
    assert (text, said.count("Error: ")) == ("one\nthree", 1)
    assert asked == [[system, "first"], [system, "first", "one", "second"], [system, "first", "one", "third"]]
