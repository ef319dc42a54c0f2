"""`streamfan chat` in a pipe: each line is a question, and stdout has the answers and nothing else."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.command import Done, Shell, end_of, read_until, write

ECHO = """
    accepts = frozenset({"messages"})

    def run(self, fan, request):
        with fan.open() as stream:
            if request.messages[-1].content == "fail":
                stream.fail("the model fell asleep")
            elif request.messages[-1].content == "endless":
                stream.write("it goes on")
                wait_for_cancel(stream)
            else:
                stream.write(" ".join(message.content for message in request.messages))
"""


@pytest.fixture(autouse=True)
def _source(shell: Shell) -> None:
    shell.install_source("echo", ECHO)


def chat(shell: Shell, text: str | bytes, *arguments: str) -> Done:
    return shell.run("chat", "--source", "echo", *arguments, text=text)


def test_each_line_is_a_question(shell: Shell) -> None:
    done = chat(shell, "one\n\ntwo")

    assert (done.code, done.stdout, done.stderr) == (0, b"one\none one two", "")


def test_model_is_told_what_the_option_says(shell: Shell) -> None:
    assert chat(shell, "one\n", "--system", "kind").stdout == b"kind one"


def test_commands_work_in_a_pipe_too(shell: Shell) -> None:
    done = chat(shell, "one\n/reset\ntwo\n/exit\nthree\n")

    assert (done.code, done.stdout) == (0, b"one\ntwo")


def test_failed_turn_is_forgotten_and_told_by_the_exit_code(shell: Shell) -> None:
    done = chat(shell, "one\nfail\ntwo\n")

    assert (done.code, done.stdout) == (1, b"one\none one two")
    assert done.stderr.count("the model fell asleep") == 1


def test_each_answer_is_a_stream_that_knows_its_conversation_and_turn(shell: Shell) -> None:
    done = chat(shell, "one\n/reset\ntwo\nthree\n", "-q", "-s", "file:out.jsonl", "-o", "file.format=jsonl")

    starts = [event for line in shell.file("out.jsonl").splitlines() if (event := json.loads(line))["type"] == "start"]
    assert (done.code, done.stdout) == (0, b"")
    assert [start["meta"]["turn"] for start in starts] == [1, 1, 2]
    assert len({start["meta"]["conversation"] for start in starts}) == 2
    assert len({start["stream"] for start in starts}) == 3


def test_source_without_conversations_is_refused(shell: Shell) -> None:
    done = shell.run("chat", "--source", "stdin")

    assert done.code == 2
    assert "source 'stdin' cannot hold a conversation" in done.stderr


def test_input_that_is_no_text_is_refused(shell: Shell) -> None:
    done = chat(shell, b"one\n\xff\n")

    assert (done.code, done.stdout) == (2, b"one")
    assert "not UTF-8, at byte 0" in done.stderr


def test_input_that_is_no_text_ends_a_conversation_as_any_end_does(shell: Shell) -> None:
    done = chat(shell, b"one\n\xff\n", "--summary", "json")

    report = json.loads(done.stderr.partition("\n")[0])
    assert [stream["deliveries"][0]["complete"] for stream in report["streams"]] == [True]
    assert report["exit_code"] == done.code == 2


@pytest.mark.parametrize("name", ["a\0b", "~nobody-is-called-so/x"], ids=["not a name", "nobody's home"])
def test_name_that_cannot_be_saved_to_does_not_end_the_conversation(shell: Shell, name: str) -> None:
    done = chat(shell, f"one\n/save {name}\ntwo\n")

    assert (done.code, done.stdout) == (0, b"one\none one two")
    assert f"it cannot be saved as {name!r}: " in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signal_ends_a_conversation_that_waits_for_a_line(shell: Shell, number: signal.Signals, code: int) -> None:
    process = shell.start("chat", "--source", "echo")
    write(process, "one\n")
    read_until(process.stdout, b"one")
    process.send_signal(number)

    assert end_of(process, told=False).code == code


def test_interrupt_ends_a_conversation_in_the_middle_of_an_answer(shell: Shell) -> None:
    process = shell.start("chat", "--source", "echo")
    write(process, "endless\nnext\n")
    read_until(process.stdout, b"it goes on")
    process.send_signal(signal.SIGINT)

    done = end_of(process, told=False)

    assert (done.code, done.stdout) == (130, b"")


def test_output_that_nobody_reads_ends_it(shell: Shell) -> None:
    done = shell.run("chat", "--source", "echo", text="a\n" * 1000, script='{ "$@"; echo $? >code; } | head -c 1')

    assert done.stdout == b"a"
    assert shell.file("code").strip() == "141"


def test_bundled_model_answers(shell: Shell) -> None:
    done = shell.run("chat", "-t", "0", text="Tell me about a fox\n")

    assert done.code == 0
    assert b"fox" in done.stdout
