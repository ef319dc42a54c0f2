"""`streamfan run` as somebody at a shell meets it: text, files, exit codes, one clear line when something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streamfan.events import End, Start, Text, decode
from tests.support.command import TRACEBACK, Shell, end_of, read_until
from tests.support.distributions import Site
from tests.support.faults import forbid_larger_files, full_device, injects
from tests.support.receiver import Receiver, Reply, answer, redirect, silence
from tests.support.sinks import wait_until

QUICK = ("-o", "webhook.lane.max_elapsed=0.3s")


def read_terminal(descriptor: int) -> str:
    """Read what was shown until the last program has let go of it."""
    shown = b""
    # Linux says EIO where other systems say that there is nothing more.
    with contextlib.suppress(OSError):
        while piece := os.read(descriptor, 65536):
            shown += piece
    os.close(descriptor)
    return shown.decode()


# Text


def test_text_goes_to_stdout_and_to_every_sink(shell: Shell) -> None:
    done = shell.stdin("héllo ☕\nworld", "-s", "a=file:a.txt", "-s", "b=file:b.jsonl", "-o", "b.format=jsonl")

    assert (done.code, done.stdout) == (0, "héllo ☕\nworld".encode())
    assert shell.file("a.txt") == "héllo ☕\nworld"
    events = [decode(line) for line in shell.file("b.jsonl").splitlines()]
    assert isinstance(events[0], Start)
    assert "".join(event.text for event in events if isinstance(event, Text)) == "héllo ☕\nworld"
    assert isinstance(events[-1], End)
    assert events[-1].complete


def test_quiet_keeps_the_text_off_stdout(shell: Shell) -> None:
    done = shell.stdin("text", "-q", "-s", "file:out.txt")

    assert (done.code, done.stdout, shell.file("out.txt")) == (0, b"", "text")


def test_file_has_its_documented_default_name(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file", "--summary", "json")

    (stream,) = done.summary["streams"]
    assert shell.file(f"streamfan-{stream['id']}.txt") == "text"


def test_nothing_but_text_is_on_stdout_even_when_much_is_said(shell: Shell) -> None:
    done = shell.stdin("text", "-vv", "--summary", "table")

    assert done.stdout == b"text"
    assert "sha256" in done.stderr
    assert "is closed" in done.stderr


def test_bytes_that_are_no_utf8_become_replacement_characters(shell: Shell) -> None:
    done = shell.stdin(b"a\xff\xe6\x97b", "-s", "file:out.txt")

    assert (done.code, shell.file("out.txt")) == (0, "a\ufffd\ufffdb")


def test_empty_input_is_an_empty_text(shell: Shell) -> None:
    done = shell.stdin("", "-s", "file:out.txt")

    assert (done.code, done.stdout, shell.file("out.txt")) == (0, b"", "")


def test_text_arrives_while_the_source_still_writes(shell: Shell) -> None:
    process = shell.start("run", "--source", "stdin")
    assert process.stdin is not None

    process.stdin.write(b"first")
    process.stdin.flush()
    read_until(process.stdout, b"first")
    stdout, stderr = process.communicate(b" second", timeout=30)

    assert (process.returncode, stdout) == (0, b" second"), stderr


# Settings


def test_config_file_environment_and_options_in_their_order(shell: Shell) -> None:
    (shell.folder / "streamfan.toml").write_text(
        '[run]\nquiet = true\nsource = "stdin"\n[sinks.out]\ntype = "file"\ntarget = "out.txt"\nformat = "jsonl"\n'
    )

    file = shell.run("run", "--config", "streamfan.toml", text="text")
    variable = shell.run("run", "--config", "streamfan.toml", text="text", env={"STREAMFAN_OUT_TARGET": "env.txt"})
    option = shell.run(
        *("run", "-o", "out.format=text", "-o", "out.target=opt.txt"),
        text="text",
        env={"STREAMFAN_CONFIG": "streamfan.toml", "STREAMFAN_OUT_FORMAT": "jsonl"},
    )

    assert [done.code for done in (file, variable, option)] == [0, 0, 0]
    assert shell.file("out.txt").startswith('{"v":1')
    assert shell.file("env.txt").startswith('{"v":1')
    assert shell.file("opt.txt") == "text"


def test_summary_as_json_is_for_programs(shell: Shell) -> None:
    done = shell.stdin("text", "--summary", "json", "-s", "file:out.txt")

    assert done.summary["exit_code"] == 0
    assert [sink["id"] for sink in done.summary["sinks"]] == ["stdout", "file"]
    (stream,) = done.summary["streams"]
    assert {delivery["sha256"] for delivery in stream["deliveries"]} == {stream["sha256"]}


def test_summary_none_says_nothing(shell: Shell) -> None:
    assert shell.stdin("text", "--summary", "none").stderr == ""


def test_summary_has_no_colour_on_what_is_no_terminal(shell: Shell) -> None:
    assert "\x1b" not in shell.stdin("text", "--summary", "table").stderr


def test_version(shell: Shell) -> None:
    done = shell.run("--version")

    assert done.stdout.startswith(b"streamfan, version 0.")


# Bad input: one clear line, exit code 2, and nothing is made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-s", "reddis"], "unknown sink 'reddis', did you mean 'redis'"),
        (["-s", "=file"], "Try: [ID=]NAME[:TARGET]"),
        (["-s", "file:"], "empty target"),
        (["-s", "file:a.txt", "-s", "file:b.txt"], "file2=file:"),
        (["-s", "file:a.txt", "-o", "file.fromat=jsonl"], "did you mean 'format'"),
        (["-s", "file:a.txt", "-o", "file.format=xml"], "'text' or 'jsonl'"),
        (["-s", "file:a.txt", "-o", "file.lane.linger=soon"], "not a duration: 'soon'"),
        (["-s", "file:{name}.txt"], "{name}"),
        (["-s", "webhook"], "https://host/path"),
        (["-o", "fiel.format=text"], "'fiel'"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--source", "nowhere"], "unknown source 'nowhere'"),
        (["--summary", "xml"], "xml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_was_said_wrong_is_one_clear_error(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell.stdin("text", *arguments) if "--source" not in arguments else shell.run("run", *arguments)

    assert (done.code, done.stdout) == (2, b""), done
    assert said in done.stderr
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_empty_prompt_is_refused(shell: Shell, prompt: str) -> None:
    done = shell.run("run", prompt)

    assert (done.code, "the prompt is empty" in done.stderr) == (2, True)


def test_prompt_that_cannot_be_read_is_refused(shell: Shell) -> None:
    done = shell.run("run", script='exec "$@" 0>/dev/null')

    assert (done.code, "prompt cannot be read" in done.stderr) == (2, True), done


def test_empty_prompt_on_standard_input_is_refused(shell: Shell) -> None:
    assert "the prompt is empty" in shell.run("run", text="\n").stderr


def test_prompt_with_a_leading_dash_gets_advice(shell: Shell) -> None:
    done = shell.run("run", "- a list")

    assert done.code == 2
    assert "put -- before it" in done.stderr


def test_prompt_for_a_source_that_takes_none_is_refused(shell: Shell) -> None:
    done = shell.run("run", "--source", "stdin", "Once")

    assert (done.code, "a prompt means nothing to source 'stdin'" in done.stderr) == (2, True)


def test_flag_that_means_nothing_to_the_source_is_refused(shell: Shell) -> None:
    done = shell.stdin("text", "--temperature", "1")

    assert (done.code, "temperature" in done.stderr, done.stdout) == (2, True, b"")


def test_folder_that_is_no_model_is_refused(shell: Shell) -> None:
    (shell.folder / "empty").mkdir()

    done = shell.run("run", "Once", "--model", "./empty", "-s", "file:out.txt")

    assert done.code == 2, done
    assert "empty" in done.stderr
    assert not (shell.folder / "out.txt").exists()


def test_error_text_cannot_move_the_cursor(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "fi\x1b[2Jle")

    assert done.code == 2
    assert "\x1b" not in done.stderr


# Sinks that fail


@pytest.mark.parametrize("target", ["missing/out.txt", "."])
def test_target_that_cannot_be_opened_costs_no_generation(shell: Shell, target: str) -> None:
    done = shell.stdin("text", "-s", f"file:{target}")

    assert (done.code, done.stdout) == (4, b""), done
    assert target in done.stderr


def test_server_that_is_not_there_costs_no_generation(shell: Shell) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://:hunter2@127.0.0.1:{free.getsockname()[1]}/0"
        done = shell.stdin("text", "-s", url, "-o", "redis.lane.connect_timeout=3")

    assert (done.code, done.stdout) == (4, b"")
    assert "127.0.0.1" in done.stderr
    assert "hunter2" not in done.stderr


def test_summary_in_json_holds_what_a_terminal_must_not_be_given(shell: Shell) -> None:
    name = "a\x7f\x9b2J\u202e\xe9.txt"

    done = shell.stdin("text", "-q", "-s", f"file:{name}", "--summary", "json")

    assert done.summary["sinks"][0]["target"] == name
    assert done.stderr.isascii()
    assert "\x7f" not in done.stderr


def test_server_that_accepts_and_says_nothing_is_named_with_the_reason(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"redis://127.0.0.1:{port}/0?socket_timeout=0.3"

        done = shell.stdin("text", "-s", url, "-o", "redis.lane.connect_timeout=3", "--summary", "json")

    reason = f"Redis at redis://127.0.0.1:{port}/0: Timeout"
    assert (done.code, done.stdout) == (4, b"")
    assert reason in done.stderr.splitlines()[-1]
    assert reason in next(sink["error"] for sink in done.summary["sinks"] if sink["id"] == "redis")


def test_sink_that_is_not_required_may_be_missing(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file:missing/out.txt", "-o", "file.lane.required=false")

    assert (done.code, done.stdout) == (0, b"text")
    assert "missing/out.txt" in done.stderr


@pytest.mark.guarantee("file", "disk full")
def test_full_disk_fails_that_sink_alone_and_what_it_lacks_is_told(shell: Shell) -> None:
    done = shell.stdin(
        "text", "-s", f"full=file:{full_device()}", "-s", "file:out.txt", "-o", "full.lane.max_elapsed=0.2"
    )

    assert (done.code, done.stdout, shell.file("out.txt")) == (3, b"text", "text")
    assert "Error: sink 'full'" in done.stderr
    assert "4 bytes not delivered" in done.stderr


@pytest.mark.guarantee("file", "wrong answer")
def test_file_that_is_removed_meanwhile_fails_that_sink_alone_and_is_named(shell: Shell) -> None:
    with shell.running("-s", "file:out.txt", "-s", "other=file:other.txt", text="text") as process:
        wait_until(lambda: (shell.folder / "out.txt").exists() and shell.file("out.txt") == "text")
        injects((shell.folder / "out.txt").unlink)()
        done = end_of(process)

    assert (done.code, done.stdout, shell.file("other.txt")) == (3, b"text", "text")
    assert "Error: sink 'file': 'out.txt' is not the file that was written: another program has removed" in done.stderr


@pytest.mark.guarantee("file", "raising")
def test_file_size_limit_leaves_a_valid_prefix(shell: Shell) -> None:
    text = "0123456789" * 1000
    (shell.folder / "input.txt").write_text(text)
    limit = 4096

    with (shell.folder / "input.txt").open("rb") as file:
        process = shell.start(
            "run", "--source", "stdin", "-q", "-s", "file:out.txt", "-o", "file.lane.max_bytes=1000",
            stdin=file,
            preexec_fn=lambda: forbid_larger_files(limit),
        )  # fmt: skip
        _, stderr = process.communicate(timeout=30)

    assert process.returncode == 3, stderr
    assert TRACEBACK not in stderr.decode()
    assert b"not delivered" in stderr
    kept = shell.file("out.txt")
    assert text.startswith(kept)
    assert len(kept) <= limit


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(500), "500"),
        (answer(410), "410"),
        (answer(404), "404"),
        (redirect(302, "http://127.0.0.1:1/"), "302"),
        (silence, "sink 'webhook'"),
    ],
    ids=["500", "410", "404", "redirect", "silence"],
)
def test_webhook_that_does_not_take_it_is_exit_code_3(shell: Shell, reply: Reply, said: str) -> None:
    with Receiver(reply) as receiver:
        done = shell.stdin("text", "-s", receiver.url, *QUICK, "-o", "webhook.timeout=0.2")

    assert (done.code, done.stdout) == (3, b"text"), done
    assert said in done.stderr


def test_webhook_gets_the_events_in_order(shell: Shell) -> None:
    with Receiver() as receiver:
        done = shell.stdin("text", "-s", receiver.url)

    assert done.code == 0, done
    assert [posted.event["type"] for posted in receiver.posted] == ["start", "text", "end"]


@pytest.mark.guarantee("any sink", "slow")
@pytest.mark.guarantee("any sink", "raising")
@pytest.mark.guarantee("any sink", "hung")
def test_run_beside_a_slow_a_raising_and_a_hung_sink_keeps_the_others_whole_and_names_those_that_failed(
    shell: Shell,
) -> None:
    shell.install_ill_sinks()
    text = "piece " * 500

    done = shell.stdin(
        text, "--summary", "json", "-s", "file:out.txt",
        *("-s", "slow:slow.txt", "-s", "raising", "-s", "hung", "-o", "hung.lane.call_timeout=0.5"),
        *("-o", "slow.lane.max_bytes=500"),
    )  # fmt: skip

    assert done.code == 3, done
    assert (done.stdout.decode(), shell.file("out.txt"), shell.file("slow.txt")) == (text, text, text)
    states = {sink["id"]: sink["state"] for sink in done.summary["sinks"]}
    assert states == {"stdout": "closed", "file": "closed", "slow": "closed", "raising": "failed", "hung": "failed"}
    assert "sink 'raising': ValueError: broken on purpose; 3,000 bytes not delivered" in done.stderr
    assert "sink 'hung': write() has not returned" in done.stderr


# Closed pipes, and the terminal


def test_closed_stdout_leaves_the_other_sinks_going(shell: Shell) -> None:
    read, write = os.pipe()
    process = shell.start("run", "--source", "stdin", "-s", "file:out.txt", stdout=write)
    os.close(write)
    os.close(read)

    _, stderr = process.communicate(b"text\n" * 1000, timeout=30)

    assert (process.returncode, stderr) == (0, b"")
    assert shell.file("out.txt") == "text\n" * 1000


def test_run_whose_every_output_was_closed_stops_its_source(shell: Shell) -> None:
    script = f"{sys.executable} -m streamfan run --source stdin | head -n 1; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(
        ["bash", "-c", f"yes | {{ {script}; }}"],
        cwd=shell.folder,
        env=shell.environ({}),
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.stderr) == (b"y\n141\n", b"")


def test_status_line_on_a_terminal_is_gone_before_the_first_text(shell: Shell) -> None:
    Site(shell.site).install(
        "streamfan-slowload",
        sources={"slowload": "streamfan_slowload"},
        code="""
        import threading
        from streamfan import hookimpl
        from streamfan.source import Source

        class SlowLoad(Source):
            name = "slowload"
            def load(self, request):
                threading.Event().wait(0.3)
            def run(self, fan, request):
                with fan.open() as stream:
                    stream.write("first words")
                    threading.Event().wait(0.3)

        @hookimpl
        def streamfan_sources():
            return [SlowLoad]
        """,
    )
    main, terminal = pty.openpty()

    process = shell.start("run", "--source", "slowload", stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    screen = read_terminal(main)

    assert process.wait(30) == 0
    assert "loading slowload" in screen
    assert screen.index("first words") > screen.rindex("\x1b[2K"), "the status line was erased together with text"
    assert "sha256" in screen, "on a terminal there is a table"


# Plugins


def test_observer_plugin_is_told_of_the_finished_stream(shell: Shell) -> None:
    Site(shell.site).install(
        "streamfan-notes",
        hooks={"notes": "streamfan_notes"},
        code="""
        from streamfan import hookimpl

        @hookimpl
        def streamfan_finished(stream, report):
            with open("notes.txt", "w") as file:
                file.write(f"{report.finish_reason} {report.bytes}")
        """,
    )

    done = shell.stdin("text")

    assert (done.code, shell.file("notes.txt")) == (0, "stop 4")


def test_broken_observer_plugin_is_one_line_and_no_failure(shell: Shell) -> None:
    Site(shell.site).install("streamfan-broken", hooks={"broken": "streamfan_broken"}, code="import no_such_module")

    done = shell.stdin("text")

    assert (done.code, done.stdout) == (0, b"text")
    assert "no_such_module" in done.stderr


def test_broken_sink_plugin_is_one_clear_error(shell: Shell) -> None:
    Site(shell.site).install_sink("broken", "import no_such_module")

    done = shell.stdin("text", "-s", "broken")

    assert (done.code, done.stdout) == (2, b"")
    assert "streamfan-broken 1.0" in done.stderr


# The main job


def test_the_command_of_the_readme_works_as_it_stands(shell: Shell) -> None:
    done = shell.run("run", "Once upon a time", "--sink", "file", "--sink", "redis", "--seed", "1", text=None)

    assert done.code == 0, done
    (path,) = shell.folder.iterdir()
    assert path.name.startswith("streamfan-")
    assert len(done.stdout) > 20
    assert path.read_bytes() == done.stdout
    assert "redis://" in done.stderr


# Two models are loaded, one after the other.
@pytest.mark.timeout(240)
def test_same_seed_gives_the_same_text_and_stop_strings_end_it(shell: Shell) -> None:
    whole = shell.run("run", "Once upon a time", "--seed", "5", "-n", "60", text=None).stdout.decode()
    stop = whole[20:24]

    cut = shell.run("run", "Once upon a time", "--seed", "5", "-n", "60", "--stop", stop, text=None)

    assert (cut.code, cut.stdout.decode()) == (0, whole[: whole.index(stop)])


def test_prompt_comes_from_standard_input_and_chat_is_a_template(shell: Shell) -> None:
    done = shell.run("run", "--chat", "--summary", "json", "-t", "0", text="A story about a fox in the forest\n")

    assert done.code == 0, done
    assert "fox" in done.stdout.decode()
    (stream,) = done.summary["streams"]
    assert (stream["tokens"] > 10, stream["finish_reason"] in {"stop", "length"}) == (True, True)
    intervals = stream["intervals"]
    assert (intervals["unit"], intervals["rate"] > 0, intervals["p99"] >= intervals["p50"] > 0) == ("token", True, True)
    assert json.dumps(done.summary)


def test_speed_is_in_the_table_too(shell: Shell) -> None:
    done = shell.run("run", "Once upon a time", "-n", "20", "--summary", "table")

    speed = r"[\d,]+ tokens/s \(between tokens: average [\d,.]+, p50 [\d,.]+, p99 [\d,.]+ ms\)"
    assert re.search(speed, " ".join(done.stderr.split()))


def test_who_has_stopped_a_stream_is_told(shell: Shell) -> None:
    shell.install_source(
        "stopped",
        """
        def run(self, fan, request):
            with fan.open("s") as stream:
                stream.write("text")
                stream.cancel("seen enough", by="alice\\nError: forged")
        """,
    )

    done = shell.run("run", "--source", "stopped")

    assert (done.code, done.stdout) == (0, b"text")
    assert "stream 's' was cancelled: 'seen enough', by alice␊Error: forged\n" in done.stderr


def test_each_line_of_a_file_of_prompts_is_a_stream(shell: Shell) -> None:
    (shell.folder / "prompts.txt").write_text("Once upon a time\n\nThe fox\r\n", encoding="utf-8")

    done = shell.run(
        *("run", "--prompts", "prompts.txt", "-n", "10", "--seed", "1", "-q", "--summary", "json"),
        *("-s", "file:{stream}.txt", "-o", "source.top_p=0.9", "-o", 'source.generate={"min_p": 0.01}'),
    )

    assert done.code == 0, done
    streams = done.summary["streams"]
    assert [stream["id"].rpartition("-")[2] for stream in streams] == ["1", "3"]
    assert all((shell.folder / f"{stream['id']}.txt").stat().st_size == stream["bytes"] > 0 for stream in streams)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a prompt", "--prompts", "prompts.txt"], "a prompt and --prompts"),
        (["--prompts", "none.txt"], "'none.txt' cannot be read: No such file"),
        (["--prompts", "empty.txt"], "has no prompt in it"),
        (["--prompts", "latin.txt"], "is not UTF-8, at byte 1"),
        (["--prompts", "prompts.txt", "--source", "stdin"], "means nothing to source 'stdin'"),
        (["a prompt", "-o", "source.top_p=2"], "option 'top_p'"),
        (["a prompt", "-o", "source.tpo_p=1"], "top_p"),
    ],
)
def test_wrong_prompts_and_options_of_the_source_are_said(shell: Shell, arguments: list[str], said: str) -> None:
    (shell.folder / "prompts.txt").write_text("Once\n")
    (shell.folder / "empty.txt").write_text("\n \n")
    (shell.folder / "latin.txt").write_bytes(b"\x61\xe9\n")

    done = shell.run("run", *arguments)

    assert (done.code, said in done.stderr, TRACEBACK in done.stderr) == (2, True, False), done


# An id of one's own


def test_stream_has_the_id_that_was_given(shell: Shell) -> None:
    done = shell.stdin("text", "-s", "file:{stream}.txt", "--id", "mine")

    assert done.code == 0, done
    assert shell.file("mine.txt") == "text"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--id", "a b"), "stream id 'a b' is malformed"),
        (("--id", "mine", "-o", "source.split=line"), "source.split makes several"),
        (("--id", "mine", "--source", "several"), "there are several here"),
        (("--id", "mine", "--source", "named"), "there are several here"),
    ],
)
def test_id_that_cannot_be_is_refused(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    shell.install_source("several", SEVERAL)
    shell.install_source("named", NAMED)

    done = shell.stdin("text", *arguments)

    assert (done.code, done.stdout) == (2, b"")
    assert said in done.stderr


SEVERAL = """
    def run(self, fan, request):
        with fan.open(), fan.open():
            pass
"""
NAMED = """
    def run(self, fan, request):
        with fan.open("of-its-own"):
            pass
"""


def test_beam_search_is_refused_before_a_model_is_loaded(shell: Shell) -> None:
    done = shell.run("run", "hi", "--model", "/no/such/model", "-o", 'source.generate={"num_beams": 2}')

    assert (done.code, done.stdout) == (2, b"")
    assert "beam search cannot be streamed, and num_beams is 2" in done.stderr


def test_prompt_without_an_end_is_refused(shell: Shell) -> None:
    with Path("/dev/zero").open("rb") as endless:
        done = shell.run("run", "-", text=None, stdin=endless)

    assert done.code == 2
    assert done.stderr == "Error: the prompt on standard input is longer than 16 MiB\n"
