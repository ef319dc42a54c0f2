"""`streamfan chat` on the screen of a real terminal."""

from __future__ import annotations

import json
import re
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Shell
from tests.support.tmux import HEIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.terminal.conftest import Start
    from tests.support.tmux import Tmux

# It says what it was told; some questions have answers of their own.
ECHO = """
    accepts = frozenset({"messages"})

    def run(self, fan, request):
        said = request.messages[-1].content
        if said == "refuse":
            raise RuntimeError("the model is tired")
        with fan.open() as stream:
            if said == "fail":
                stream.write("half an ans")
                stream.fail("the model fell asleep")
            elif said == "markdown":
                stream.write(MARKDOWN)
            elif said == "endless":
                stream.write("it goes on and on")
                wait_for_cancel(stream)
            elif said == "silent":
                wait_for_cancel(stream)
            elif said == "deaf":
                stream.write("it never stops")
                wait_for_ever()
            else:
                stream.write(" | ".join(f"{it.role}: {it.content!r}" for it in request.messages))
"""
MARKDOWN = """\
# A title

It is **bold**, and [a bank](https://evil.example) for you.

- one
- two

```python
print("hi")
```

\x1b]0;owned\x07 &#x202e;reversed &#13;over

| a | b |
|---|---|
| 1 | 2 |
"""


@pytest.fixture
def chat(start: Start, shell: Shell) -> Tmux:
    """A chat that waits for what is said first."""
    terminal = begin(start, shell)
    terminal.wait(">>>")
    return terminal


def begin(start: Start, shell: Shell, *arguments: str, script: str = '"$@"') -> Tmux:
    shell.install_source("echo", ECHO.replace("MARKDOWN", repr(MARKDOWN)))
    environ = {"PYTHONPATH": shell.environ({})["PYTHONPATH"]}
    return start("chat", "--source", "echo", *arguments, env=environ, script=script)


def test_answers_know_what_was_said_before(chat: Tmux) -> None:
    chat.say("first")
    chat.wait("user: 'first'\n")
    chat.say("second")

    chat.wait("user: 'first' | assistant: \"user: 'first'\" | user: 'second'")


@pytest.mark.parametrize("farewell", ["quit", "exit", "/exit"])
def test_conversation_ends_when_it_is_said(chat: Tmux, farewell: str) -> None:
    chat.say(farewell)

    chat.wait("exit=0")


def test_conversation_ends_at_control_d(chat: Tmux) -> None:
    chat.press("C-d")

    chat.wait("exit=0")


def test_interrupted_answer_is_kept_and_the_conversation_goes_on(chat: Tmux) -> None:
    chat.say("endless")
    chat.wait("it goes on and on")
    chat.press("C-c")
    chat.wait("[interrupted]\n>>>")
    chat.say("next")

    chat.wait("user: 'endless' | assistant: 'it goes on and on' | user: 'next'")


def test_nothing_is_kept_of_a_question_that_was_not_answered(chat: Tmux) -> None:
    for question, said in [("refuse", "the model is tired"), ("fail", "Error: the model fell asleep")]:
        chat.say(question)
        chat.wait(said)
    chat.say("silent")
    chat.wait_until(lambda screen: screen.rstrip().endswith("silent"), "the question alone")
    chat.press("C-c")
    chat.wait("nothing is kept")
    chat.say("next")

    chat.wait("\nuser: 'next'\n")


@pytest.mark.parametrize("question", ["endless", "deaf", None])
def test_second_interrupt_leaves(chat: Tmux, question: str | None) -> None:
    if question:
        chat.say(question)
        chat.wait("it goes on" if question == "endless" else "it never stops")
    chat.press("C-c")
    if question != "deaf":
        chat.wait("[interrupted]\n>>>" if question else "once more to leave, as does Ctrl-D\n>>>")
    chat.press("C-c")

    chat.wait("exit=130")


def test_typed_text_is_dropped_by_an_interrupt_and_another_line_forgets_it(chat: Tmux) -> None:
    chat.type("not this")
    chat.press("C-c")
    chat.wait("once more to leave")
    chat.say("this")
    chat.wait("user: 'this'")
    chat.press("C-c")

    # That was the first one again.
    chat.say("quit")
    chat.wait("exit=0")


def test_question_can_have_several_lines(chat: Tmux) -> None:
    chat.type("one")
    chat.press("M-Enter")
    chat.say("two")
    chat.wait(r"user: 'one\ntwo'")
    chat.say("/reset")
    chat.say('"""three')
    chat.say('four"""')
    chat.wait(r"user: 'three\nfour'")
    chat.say("/reset")
    # Until it asks, it has not said that it takes what is pasted in one piece.
    chat.wait_until(lambda screen: screen.rstrip().endswith("another conversation\n>>>"), "the next question")
    chat.paste("five\nsix")
    chat.press("Enter")

    chat.wait(r"user: 'five\nsix'")


def test_lines_can_be_edited_and_had_again(chat: Tmux) -> None:
    chat.type("wrld")
    chat.press("Left", "Left", "Left")
    chat.say("o")
    chat.wait("user: 'world'")
    chat.press("Up")
    chat.press("Enter")

    chat.wait("| user: 'world'")


def test_commands_do_what_help_says(chat: Tmux, tmp_path: Path) -> None:
    chat.say("/help")
    chat.wait("/save [FILE]", "Ctrl-D")
    chat.say("/system Be kind")
    chat.say("/etc/hosts is what?")
    chat.wait("system: 'Be kind' | user: '/etc/hosts is what?'")
    chat.say("/sinks")
    chat.wait("stdout: ok, 1 of 1 answers")
    chat.say("/savee")
    chat.wait("there is no /savee, did you mean /save?")
    for name in ("chat.json", "chat.md"):
        chat.say(f"/save {name}")
        chat.wait(f"saved to {name}")
    chat.say("/save chat.md")
    chat.wait("cannot be saved as 'chat.md': File exists")
    chat.say("/reset")
    chat.say("again")
    chat.wait("\nsystem: 'Be kind' | user: 'again'\n")

    roles = [message["role"] for message in json.loads((tmp_path / "chat.json").read_text())]
    assert roles == ["system", "user", "assistant"]
    assert (tmp_path / "chat.md").read_text().count("\n## ") == 3
    assert (tmp_path / "chat.md").stat().st_mode & 0o777 == 0o600


def test_markdown_is_shown_as_what_it_means_and_nothing_in_it_is_obeyed(chat: Tmux) -> None:
    chat.say("markdown")

    screen = chat.wait("you.\n\n • one\n • two\n\n", '\n print("hi")\n\n', "\n 1  2\n>>>")
    assert "**" not in screen
    assert "```" not in screen
    assert "a bank (https://evil.example)" in screen
    assert "␛]0;owned␇" in screen
    assert r"\u202ereversed" in screen
    styled = chat.screen(styles=True)
    assert re.search(r"\x1b\[[0-9;]*1m[^\n]*bold", styled)


def test_long_answer_is_whole_in_the_history_of_the_terminal(start: Start, shell: Shell) -> None:
    question = "".join(f"word{number} " for number in range(HEIGHT * 40))
    terminal = begin(start, shell)
    terminal.wait(">>>")
    terminal.paste(question.strip())
    terminal.press("Enter")
    terminal.wait(f"word{HEIGHT * 40 - 1}'\n>>>")

    history = terminal.screen(history=True)
    answer = history[history.index("user: '") :]
    assert re.findall(r"word\d+", answer) == question.split()


def test_raw_text_is_shown_as_it_is(start: Start, shell: Shell) -> None:
    terminal = begin(start, shell, "-o", "stdout.raw=true")
    terminal.wait(">>>")
    terminal.say("**text**")

    terminal.wait("user: '**text**'")


def test_answers_go_to_a_file_while_the_prompt_stays_where_it_is(start: Start, shell: Shell, tmp_path: Path) -> None:
    terminal = begin(start, shell, "-s", "file:out.jsonl", "-o", "file.format=jsonl", script='"$@" > out.txt')
    terminal.wait(">>>")
    terminal.say("first")
    terminal.wait("first\n>>>")
    terminal.say("second")
    terminal.wait("second\n>>>")
    terminal.press("C-d")
    terminal.wait("exit=0")

    assert (tmp_path / "out.txt").read_text().startswith("user: 'first'\nuser: 'first' | ")
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    starts = [event["meta"] for event in events if event["type"] == "start"]
    assert [meta["turn"] for meta in starts] == [1, 2]
    assert starts[0]["conversation"] == starts[1]["conversation"]


def test_bundled_model_tells_a_story(start: Start) -> None:
    terminal = start("chat", "--seed", "1")
    terminal.wait(">>>")
    terminal.say("Tell me about a fox")

    terminal.wait_until(lambda screen: screen.count(">>>") == 2 and "fox" in screen.split("\n>>>")[1], "a story")
    terminal.press("C-d")
    terminal.wait("exit=0")


def test_terminal_that_goes_away_ends_the_conversation(start: Start, shell: Shell, tmp_path: Path) -> None:
    # Without the signal, as with nohup: only its input tells.
    chat = begin(start, shell, script="trap '' HUP; \"$@\"; echo $? >code")
    chat.wait(">>>")

    chat.close()

    code = tmp_path / "code"
    deadline = monotonic() + 30
    while not (code.exists() and code.read_text()):
        assert monotonic() < deadline, "it goes on without a terminal"
        sleep(0.05)
    assert code.read_text() == "0\n"
