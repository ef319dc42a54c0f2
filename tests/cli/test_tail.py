"""`streamfan tail` as somebody at a shell meets it: text, exit codes, one clear line when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from streamfan.events import Cancellation, Fault, Start, encode
from streamfan.redis.control import CancelRequest
from tests.support.command import TIMEOUT, Shell, read_until
from tests.support.producer import Background, Producer, wait_for_listeners
from tests.support.redis_server import RedisServer, free_port
from tests.support.redis_sinks import QUOTED, SECRET
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.redis.lease import Control
    from tests.support.command import Done
    from tests.support.producer import Produce

TALE = "Once upon a tïme ☕\n\x1b[31mred\x1b[0m\r\n\x00 the end"


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """An empty server, which is where commands look."""
    running_server.client.flushall()
    monkeypatch.setenv("REDIS_URL", running_server.url)
    return running_server


@pytest.fixture
def produce(server: RedisServer) -> Iterator[Produce]:
    """Begins streams: `produce(stream, **options)`."""
    producers: list[Producer] = []

    def begin(stream: str = "s", **options: object) -> Producer:
        producers.append(Producer(server.url, stream, **options))  # type: ignore[arg-type]  # the sink checks them
        return producers[-1]

    yield begin
    for producer in producers:
        producer.close()


@pytest.fixture
def ended(produce: Produce) -> Producer:
    """A stream that has ended."""
    producer = produce(model="demo")
    producer.write("Once ", TALE[5:])
    producer.end()
    return producer


def tail(shell: Shell, *arguments: str, **more: object) -> Done:
    return shell.run("tail", *arguments, text=None, **more)  # type: ignore[arg-type]  # passed on as they are


def following(
    shell: Shell, produce: Produce, *arguments: str, **more: object
) -> tuple[subprocess.Popen[bytes], Producer]:
    """A command that has shown "Once ", and the producer of the stream, which goes on."""
    producer = produce()
    producer.write("Once ")
    process = shell.start("tail", "s", *arguments, **more)  # type: ignore[arg-type]  # passed on as they are
    read_until(process.stdout, b"Once ")
    return process, producer


def finished(process: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    """The exit code, and what was printed and said since."""
    stdout, stderr = process.communicate(timeout=30)
    return process.returncode, stdout or b"", (stderr or b"").decode()


# Text


def test_the_text_is_that_of_a_file_byte_for_byte(shell: Shell, server: RedisServer) -> None:
    run = shell.stdin(TALE * 1000, "-q", "-s", "redis", "-s", "file:out.txt", "--summary", "json")
    (stream,) = run.summary["streams"]

    done = tail(shell, stream["id"])

    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == (shell.folder / "out.txt").read_bytes()
    assert hashlib.sha256(done.stdout).hexdigest() == stream["sha256"]


def test_all_of_it_comes_through_a_pipe_that_does_not_block(shell: Shell, server: RedisServer) -> None:
    text = TALE * 10_000
    run = shell.stdin(text, "-q", "-s", "redis", "--summary", "json")
    (stream,) = run.summary["streams"]
    read, write = os.pipe()
    os.set_blocking(write, False)

    process = shell.start("tail", stream["id"], stdout=write)
    # Nobody reads before there is no more room in it.
    wait_until(lambda: not select.select([], [write], [], 0)[1])
    os.close(write)
    with open(read, "rb") as pipe:  # noqa: PTH123 - a descriptor
        got = pipe.read()

    assert got == text.encode()
    assert process.wait(TIMEOUT) == 0
    process.communicate()


def test_the_text_comes_while_the_stream_goes_on(shell: Shell, produce: Produce) -> None:
    process, producer = following(shell, produce)

    producer.write("upon ")
    read_until(process.stdout, b"upon ")
    producer.write("a time")
    producer.end()

    assert finished(process) == (0, b"a time", "")


def test_from_an_offset_the_rest_is_printed(shell: Shell, ended: Producer) -> None:
    done = tail(shell, "s", "--from", "5")

    assert (done.code, done.stdout) == (0, TALE[5:].encode())


def test_of_an_attempt_that_another_has_replaced_nothing_is_printed(shell: Shell, produce: Produce) -> None:
    produce(attempt=7).write("Once ")
    produce(attempt=8).write("It was ")

    done = tail(shell, "s", "--from", "5", "--attempt", "7")

    assert (done.code, done.stdout) == (1, b"")
    assert done.stderr == "Error: stream 's' was started again: attempt 8 has taken the place of 7\n"


def test_an_offset_inside_a_character_is_one_clear_line(shell: Shell, ended: Producer) -> None:
    done = tail(shell, "s", "--from", "14")

    assert (done.code, done.stderr) == (1, "Error: stream 's': byte 14 is inside a character\n")


def test_events_are_lines_of_json_as_they_were_published(shell: Shell, ended: Producer) -> None:
    done = tail(shell, "s", "--events")

    start, first, second, end = map(json.loads, done.stdout.splitlines())
    assert done.stdout.startswith(encode(Start.of(ended.info)) + b"\n")
    assert (start["model"], first["text"], second["offset"], end["finish_reason"]) == ("demo", "Once ", 5, "stop")


def test_new_streams_are_printed_one_after_the_other_each_on_a_line(
    shell: Shell, server: RedisServer, produce: Produce
) -> None:
    produce("old").write("old")
    process = shell.start("tail")
    wait_for_listeners(server.client, "streamfan:streams")

    for name in ("a", "b"):
        producer = produce(name)
        producer.write(f"text of {name}")
        producer.end()
    text = read_until(process.stdout, b"text of b")
    process.send_signal(signal.SIGINT)

    assert text == b"text of a\ntext of b"
    assert finished(process) == (130, b"", "")


def test_the_failure_of_one_new_stream_is_told_and_the_next_is_printed(
    shell: Shell, server: RedisServer, produce: Produce
) -> None:
    process = shell.start("tail")
    wait_for_listeners(server.client, "streamfan:streams")

    produce("a").end(finish_reason="error", error=Fault("ValueError", "no"))
    # By then it has seen what was there before: a stream that has no attempt cannot show that it is new.
    read_until(process.stderr, b"Error: stream 'a' failed: ValueError: no\n")
    server.client.xadd("streamfan:{odd}:log", {"other": "thing"})
    after = server.client.zscore("streamfan:streams", "a")
    server.client.zadd("streamfan:streams", {"odd": after + 0.25})
    server.client.publish("streamfan:streams", "odd")
    server.client.set("streamfan:{odder}:log", "text")
    server.client.zadd("streamfan:streams", {"odder": after + 0.5})
    server.client.publish("streamfan:streams", "odder")
    produce("b").write("text of b")
    read_until(process.stdout, b"text of b")
    process.send_signal(signal.SIGINT)
    code, _, said = finished(process)

    assert code == 130
    assert said.startswith("Error: not an event")
    assert "Error: stream 'odder': one of its keys is something else" in said


# Outcomes


def test_a_stream_that_has_failed_is_an_error_after_its_text(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.write("Once ")
    producer.end(finish_reason="error", error=Fault("ValueError", "no \x1b]0;more"))

    done = tail(shell, "s")

    assert (done.code, done.stdout) == (1, b"Once ")
    assert done.stderr == "Error: stream 's' failed: ValueError: no ␛]0;more\n"
    assert tail(shell, "s", "--events").code == 1


def test_a_stream_that_was_cancelled_is_no_error_and_by_whom_is_said(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.write("Once ")
    producer.end(finish_reason="cancelled", cancel=Cancellation("enough", "ann"))

    done = tail(shell, "s")

    assert (done.code, done.stdout) == (0, b"Once ")
    assert done.stderr == "streamfan: stream 's' was cancelled: 'enough', by ann\n"


FORGED = "x\nError: forged\x1b[2J"


@pytest.mark.parametrize("arguments", [["s"], ["s", "--cancel"]], ids=" ".join)
@pytest.mark.parametrize("forged", [Cancellation(FORGED, "ann"), Cancellation("enough", FORGED)])
def test_who_has_stopped_a_stream_writes_no_line_of_their_own(
    forged: Cancellation, arguments: list[str], shell: Shell, produce: Produce
) -> None:
    produce().end(finish_reason="cancelled", cancel=forged)

    done = tail(shell, *arguments)

    assert (done.stderr.count("\n"), done.stderr.count("\x1b")) == (1, 0)


@pytest.mark.parametrize("fault", [Fault("ValueError", FORGED), Fault(FORGED, "no")])
def test_nor_does_what_a_producer_says_of_its_error(fault: Fault, shell: Shell, produce: Produce) -> None:
    produce().end(finish_reason="error", error=fault)

    done = tail(shell, "s")

    assert (done.stderr.count("\n"), done.stderr.count("\x1b")) == (1, 0)


def test_nor_does_what_is_no_event(shell: Shell, server: RedisServer) -> None:
    server.client.xadd("streamfan:{s}:log", {"event": json.dumps({"v": 1, "type": FORGED})})

    done = tail(shell, "s")

    assert (done.stderr.count("\n"), done.stderr.count("\x1b")) == (1, 0)


def test_a_stream_that_is_not_there_is_an_error_at_once(shell: Shell, server: RedisServer) -> None:
    done = tail(shell, "missing")

    assert (done.code, done.stdout) == (1, b"")
    assert done.stderr == (
        f"Error: there is no stream 'missing' in Redis at {server.url}\n"
        "Try: streamfan tail --list, for the ids of streams\n"
    )


def test_a_stream_that_is_not_there_yet_can_be_waited_for(shell: Shell, server: RedisServer, produce: Produce) -> None:
    process = shell.start("tail", "s", "--wait", "20")
    wait_for_listeners(server.client, "streamfan:{s}:live")

    producer = produce()
    producer.write("text")
    producer.end()

    assert finished(process) == (0, b"text", "")


def test_a_hole_is_an_error_and_the_rest_is_printed(shell: Shell, server: RedisServer, produce: Produce) -> None:
    producer = produce()
    producer.write("Once ", "upon ", "a time")
    producer.end()
    server.client.xtrim("streamfan:{s}:log", maxlen=2, approximate=False)

    done = tail(shell, "s")

    assert (done.code, done.stdout) == (1, b"a time")
    assert done.stderr == "Error: stream 's' lacks its text from byte 0 to byte 10\n"


def test_of_two_attempts_one_is_printed(shell: Shell, produce: Produce) -> None:
    process, _ = following(shell, produce)

    produce().write("It was ")

    code, text, said = finished(process)
    assert (code, text) == (1, b"")
    assert "stream 's' was started again" in said


def test_a_producer_that_is_lost_is_an_error(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.write("Once ")
    producer.show_life(0.3)

    done = tail(shell, "s")

    assert (done.code, done.stdout) == (1, b"Once ")
    assert "its producer has not shown for 0.3 s that it lives" in done.stderr


@pytest.mark.parametrize("arguments", [["s"], [], ["--list"], ["s", "--cancel"]], ids=" ".join)
def test_a_server_that_is_not_there_is_exit_code_4(shell: Shell, arguments: list[str]) -> None:
    url = f"redis://user:{QUOTED}@localhost:{free_port()}/0"

    done = tail(shell, *arguments, "--url", url)

    assert (done.code, done.stdout, done.stderr.count("\n")) == (4, b"", 2)
    assert "refused" in done.stderr
    assert done.stderr.endswith("\nTry: streamfan redis, for one to develop with\n")
    assert "s3cr3t" not in done.stderr


def test_a_wrong_password_is_exit_code_4_and_is_not_shown(shell: Shell) -> None:
    with RedisServer(f'requirepass "{SECRET}"') as locked:
        done = tail(shell, "s", env={"REDIS_URL": locked.url.replace("//", "//:s3cr3t-but-wrong@")})

    assert (done.code, done.stdout) == (4, b"")
    assert "invalid username-password pair" in done.stderr
    assert "redis://***@127.0.0.1" in done.stderr
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_password_need_not_stand_in_the_url(shell: Shell, way: str) -> None:
    (shell.folder / "password").write_text(f"{SECRET}\n", encoding="utf-8")
    with RedisServer(f'requirepass "{SECRET}"') as locked:
        with Producer(locked.url.replace("//", f"//:{QUOTED}@")) as producer:
            producer.write("Once")
            producer.end()
        how = ("--url", locked.url.replace("//", "//default:s3cr3t-but-wrong@"))
        done, listed = (
            tail(shell, what, *how, "--password-file", "password")
            if way == "file"
            else tail(shell, what, *how, env={"STREAMFAN_REDIS_PASSWORD": SECRET})
            for what in ("s", "--list")
        )

    assert (done.code, done.stdout, done.stderr) == (0, b"Once", "")
    assert listed.code == 0
    assert b"stop" in listed.stdout


def test_that_a_server_is_away_is_said_once(shell: Shell) -> None:
    with RedisServer() as server, Producer(server.url) as producer:
        producer.write("Once ")
        process = shell.start("tail", "s", "--url", server.url)
        read_until(process.stdout, b"Once ")

        server.kill()
        said = read_until(process.stderr, b"trying again\n")
        process.send_signal(signal.SIGINT)

    assert said.startswith(b"streamfan: Redis at redis://")
    assert said.count(b"\n") == 1
    assert finished(process) == (130, b"", "")


# Leaving


def test_ctrl_c_leaves_and_the_stream_goes_on(shell: Shell, produce: Produce) -> None:
    process, producer = following(shell, produce)

    process.send_signal(signal.SIGINT)
    outcome = finished(process)
    producer.write("upon")
    producer.end()

    assert outcome == (130, b"", "")
    assert producer.client.get(producer.names.cancel) is None
    assert tail(shell, "s").stdout == b"Once upon"


def test_a_reader_that_has_enough_ends_it_and_the_stream_goes_on(shell: Shell, produce: Produce) -> None:
    process, producer = following(shell, produce)
    assert process.stdout is not None

    process.stdout.close()
    producer.write("upon")
    code = process.wait(30)
    said = process.stderr.read() if process.stderr else b""
    producer.end()
    process.communicate()

    assert (code, said) == (141, b"")
    assert tail(shell, "s").stdout == b"Once upon"


def test_head_gets_its_line(shell: Shell, ended: Producer) -> None:
    script = f"{sys.executable} -m streamfan tail s --events | head -n 1 | cut -c 1-22; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(
        ["bash", "-c", script], cwd=shell.folder, env=shell.environ({}), capture_output=True, timeout=30, check=False
    )

    assert done.stdout.startswith(b'{"v":1,"type":"start",')
    assert done.stderr == b""


# Standard streams that are missing


@pytest.mark.parametrize("arguments", [["s"], ["s", "--events"], ["--list"]], ids=" ".join)
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('exec "$@" >/dev/full', "standard output cannot be written to: [Errno 28] No space left on device"),
        ('exec "$@" >&-', "standard output is closed"),
    ],
    ids=["full", "closed"],
)
def test_output_that_cannot_be_written_is_one_clear_line(
    shell: Shell, ended: Producer, arguments: list[str], script: str, said: str
) -> None:
    done = tail(shell, *arguments, script=script)

    assert (done.code, done.stderr) == (1, f"Error: {said}\n")


@pytest.mark.parametrize("script", ['exec "$@" <&-', 'exec "$@" 2>&-', 'exec "$@" 2>/dev/full'])
def test_the_text_needs_neither_input_nor_errors(shell: Shell, ended: Producer, script: str) -> None:
    done = tail(shell, "s", script=script)

    assert (done.code, done.stdout) == (0, TALE.encode())


@pytest.mark.parametrize("script", ['exec "$@" 2>&-', 'exec "$@" 2>/dev/full'])
def test_exit_code_tells_what_stderr_cannot(shell: Shell, server: RedisServer, script: str) -> None:
    assert tail(shell, "missing", script=script).code == 1


# Terminals


def on_terminal(shell: Shell, *arguments: str, **env: str) -> tuple[int, str]:
    """The exit code, and what is on the screen."""
    main, terminal = pty.openpty()
    process = shell.start("tail", *arguments, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    # Linux says EIO where other systems say that there is nothing more.
    with suppress(OSError):
        while piece := os.read(main, 65536):
            shown += piece
    os.close(main)
    return process.wait(30), shown.decode()


@pytest.mark.parametrize("how", [[], ["--events"]], ids=["text", "events"])
def test_a_text_can_do_nothing_to_a_terminal(shell: Shell, ended: Producer, how: list[str]) -> None:
    code, screen = on_terminal(shell, "s", *how)

    assert code == 0
    assert "\x1b" not in screen
    assert ("␛[31mred" in screen) == (not how)
    assert "☕" in screen


def test_on_a_terminal_an_error_has_a_line_of_its_own(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.write("Once ")
    producer.end(finish_reason="error", error=Fault("ValueError", "no"))

    code, screen = on_terminal(shell, "s")

    assert (code, screen) == (1, "Once \r\nError: stream 's' failed: ValueError: no\r\n")


def test_on_a_terminal_the_last_line_is_finished(shell: Shell, ended: Producer) -> None:
    _, screen = on_terminal(shell, "s")

    assert screen.endswith("the end\r\n")


def test_on_a_terminal_it_says_what_it_waits_for_and_where(shell: Shell, server: RedisServer) -> None:
    # The server has no password, and refuses whoever gives one.
    _, screen = on_terminal(shell, "--url", server.url.replace("//", f"//:{QUOTED}@"))

    shown = server.url.replace("//", "//***@")
    assert screen.startswith(f"streamfan: waiting for streams at {shown}; Ctrl-C to leave")
    assert "s3cr3t" not in screen


@pytest.mark.parametrize("arguments", [["s", "--events"], ["--list", "--json"]], ids=" ".join)
def test_json_stays_json_on_a_terminal(shell: Shell, produce: Produce, arguments: list[str]) -> None:
    producer = produce(model="\x9b2J\u202e\x7f")
    producer.end()

    _, screen = on_terminal(shell, *arguments)

    shown = screen if "--list" in arguments else screen.splitlines()[0]
    found = json.loads(shown)
    assert (found[0] if "--list" in arguments else found)["model"] == "\x9b2J\u202e\x7f"
    assert not set("\x9b\u202e\x7f") & set(screen)


def test_on_a_terminal_each_new_stream_is_named(shell: Shell, server: RedisServer, produce: Produce) -> None:
    main, terminal = pty.openpty()
    process = shell.start("tail", stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    wait_for_listeners(server.client, "streamfan:streams")

    for name in ("a", "b"):
        producer = produce(name)
        producer.write(f"text of {name}")
        producer.end()
    read_until(process.stdout, b"text of b")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    said = os.read(main, 65536).decode()
    os.close(main)

    assert said.splitlines()[1:3] == ["streamfan: stream 'a'", "streamfan: stream 'b'"]


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_the_list_is_plain_text_on_a_terminal_too(shell: Shell, ended: Producer, env: dict[str, str]) -> None:
    _, screen = on_terminal(shell, "--list", **env)

    assert screen.startswith("stream  model  age")
    assert "\x1b" not in screen


# The list


def test_the_list_has_the_latest_first(shell: Shell, server: RedisServer, ended: Producer, produce: Produce) -> None:
    other = produce("other", model="evil\n\x1b[2Jmodel")
    other.write("x" * 12_345)
    server.client.zadd("streamfan:streams", {"other": 1, "gone": 0})

    done = tail(shell, "--list")

    heading, first, second, third = done.stdout.decode().splitlines()
    assert (done.code, done.stderr) == (0, "")
    assert heading.split() == ["stream", "model", "age", "state", "bytes"]
    assert first.split()[:2] == ["s", "demo"]
    assert first.split()[-2:] == ["stop", str(len(TALE.encode()))]
    assert second.split()[-2:] == ["running", "12,345"]
    assert "evil␊" in second
    assert third.split() == ["gone", "forgotten", "0"]


def test_the_list_as_json_is_for_programs(shell: Shell, ended: Producer) -> None:
    done = tail(shell, "--list", "--json")

    (stream,) = json.loads(done.stdout)
    assert stream == {
        "stream": "s",
        "state": "stop",
        "model": "demo",
        "opened": ended.info.time.isoformat(),
        "bytes": len(TALE.encode()),
    }


def test_a_list_that_is_not_all_of_it_says_so(shell: Shell, server: RedisServer) -> None:
    server.client.zadd("streamfan:streams", {f"s{number}": number for number in range(60)})

    some, few, all_of_it = (tail(shell, "--list", *more) for more in ([], ["--count", "2"], ["--count", "60"]))

    assert [len(done.stdout.splitlines()) for done in (some, few, all_of_it)] == [51, 3, 61]
    assert some.stderr == "streamfan: there are more streams than these 50\nTry: --count 500\n"
    assert few.stderr == "streamfan: there are more streams than these 2\nTry: --count 20\n"
    assert all_of_it.stderr == ""


def test_where_no_stream_is_stdout_says_nothing(shell: Shell, server: RedisServer) -> None:
    done = tail(shell, "--list")

    assert (done.code, done.stdout) == (0, b"")
    assert done.stderr == f"streamfan: no streams at {server.url} ($REDIS_URL)\n"
    assert json.loads(tail(shell, "--list", "--json").stdout) == []


def test_a_prefix_is_another_world(shell: Shell, produce: Produce) -> None:
    producer = produce(prefix="mine")
    producer.write("text")
    producer.end()

    assert tail(shell, "s", "--prefix", "mine").stdout == b"text"
    assert b"stop" in tail(shell, "--list", "--prefix", "mine").stdout
    assert tail(shell, "s").code == 1


# Stopping


def answer(producer: Producer) -> CancelRequest:
    """Wait for a request to stop, and do what a producer with `control` does."""
    wait_until(lambda: producer.client.exists(producer.names.cancel))
    request = CancelRequest.decode(producer.client.get(producer.names.cancel))
    producer.write("upon")
    producer.end(finish_reason="cancelled", cancel=Cancellation(request.reason, request.by))
    return request


def test_cancel_stops_the_producer_and_says_what_became_of_it(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.show_life(20, control="open")
    producer.write("Once ")
    answering = Background(lambda: answer(producer))

    done = tail(shell, "s", "--cancel", "--reason", "seen enough")
    request = answering.result()

    assert (request.attempt, request.reason) == (producer.info.attempt, "seen enough")
    assert "@" in request.by
    assert (done.code, done.stdout) == (0, b"")
    assert done.stderr == f"stream 's' has ended as 'cancelled' after 9 bytes: 'seen enough', by {request.by}\n"


@pytest.mark.parametrize(("before", "code"), [(True, 0), (False, 1)])
def test_cancel_of_a_stream_that_ends_by_itself_has_failed_only_if_it_was_asked(
    shell: Shell, produce: Produce, *, before: bool, code: int
) -> None:
    producer = produce()
    producer.show_life(20, control="open")
    if before:
        producer.end()
    process = shell.start("tail", "s", "--cancel")
    if not before:
        wait_until(lambda: producer.client.exists(producer.names.cancel))
        producer.end()

    found, _, said = finished(process)

    assert (found, said) == (code, "stream 's' has ended as 'stop' after 0 bytes\n")


def test_cancel_waits_for_no_other_attempt_than_the_one_that_it_stops(shell: Shell, produce: Produce) -> None:
    producer = produce(attempt=7)
    producer.show_life(20, control="open")
    process = shell.start("tail", "s", "--cancel")
    wait_until(lambda: producer.client.exists(producer.names.cancel))

    produce(attempt=8).write("It was ")
    code, text, said = finished(process)

    assert (code, text) == (1, b"")
    assert said == "Error: stream 's' was started again: attempt 8 has taken the place of 7\n"


def test_cancel_of_an_attempt_that_another_has_replaced_stops_nobody(shell: Shell, produce: Produce) -> None:
    producer = produce(attempt=8)
    producer.show_life(20, control="open")

    done = tail(shell, "s", "--cancel", "--attempt", "7")

    assert (done.code, "attempt 8 has taken the place of 7" in done.stderr) == (1, True)
    assert producer.client.get(producer.names.cancel) is None


def test_cancel_of_what_was_trimmed_says_how_it_has_ended(shell: Shell, server: RedisServer, ended: Producer) -> None:
    server.client.xtrim(ended.names.log, maxlen=1, approximate=False)

    done = tail(shell, "s", "--cancel")

    assert (done.code, "has ended as 'stop'" in done.stderr) == (0, True)


def test_cancel_that_takes_long_says_why_and_that_it_did_not_stop_the_stream(shell: Shell, produce: Produce) -> None:
    producer = produce()
    producer.show_life(60, control="token")
    process = shell.start("tail", "s", "--cancel", env={"STREAMFAN_TOKEN": "wrong"})
    said = read_until(process.stderr, b"Ctrl-C to leave\n").decode()

    producer.end()
    code, _, then = finished(process)

    assert "waiting for stream 's' to stop" in said
    assert "--token-file or $STREAMFAN_TOKEN" in said
    assert (code, then) == (1, "stream 's' has ended as 'stop' after 0 bytes\n")


@pytest.mark.parametrize("way", ["file", "environment"])
def test_cancel_proves_a_token(shell: Shell, produce: Produce, way: str) -> None:
    producer = produce()
    producer.show_life(20, control="token")
    (shell.folder / "token").write_text("\ufeffopen sesame\n", encoding="utf-8")
    answering = Background(lambda: answer(producer))

    done = (
        tail(shell, "s", "--cancel", "--token-file", "token")
        if way == "file"
        else tail(shell, "s", "--cancel", env={"STREAMFAN_TOKEN": "open sesame"})
    )

    assert done.code == 0, done
    assert answering.result().proves("open sesame", "s")


@pytest.mark.parametrize(
    ("control", "said"),
    [("off", "its producer hears no request to stop\nTry: -o redis.control=true"), ("token", "wants a token\nTry: ")],
)
def test_cancel_that_nobody_would_hear_is_refused(shell: Shell, produce: Produce, control: Control, said: str) -> None:
    produce().show_life(20, control=control)

    done = tail(shell, "s", "--cancel")

    assert (done.code, done.stdout) == (1, b"")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("lease", "stream 's': nobody hears it, its producer does not show that it lives"),
        ("attempt", "stream 's': one of its keys is something else: Redis at .*: WRONGTYPE .*"),
    ],
)
def test_cancel_where_a_key_is_something_else_says_what_that_means(
    part: str, said: str, shell: Shell, server: RedisServer, produce: Produce
) -> None:
    produce().show_life(20, control="open")
    server.client.delete(f"streamfan:{{s}}:{part}")
    server.client.lpush(f"streamfan:{{s}}:{part}", "something else")

    done = tail(shell, "s", "--cancel")

    assert done.code == 1
    assert re.fullmatch(f"Error: {said}\n", done.stderr)


def test_cancel_of_a_stream_that_has_ended_says_how(shell: Shell, ended: Producer) -> None:
    done = tail(shell, "s", "--cancel")

    assert (done.code, done.stdout) == (0, b"")
    assert done.stderr == f"stream 's' has ended as 'stop' after {len(TALE.encode())} bytes\n"


def test_cancel_of_a_stream_that_is_not_there_is_an_error(shell: Shell, server: RedisServer) -> None:
    done = tail(shell, "missing", "--cancel")

    assert (done.code, "there is no stream 'missing'" in done.stderr) == (1, True)


def test_cancel_stops_a_real_run_and_its_text_so_far_stays(shell: Shell, server: RedisServer) -> None:
    shell.install_source(
        "endless",
        """
        def run(self, fan, request):
            with fan.open("s") as stream:
                stream.write("partial")
                wait_for_cancel(stream)
        """,
    )
    run = shell.start("run", "--source", "endless", "-s", "redis", "-s", "file:out.txt", "-o", "redis.control=true")
    read_until(run.stdout, b"partial")
    wait_until(lambda: server.client.exists("streamfan:{s}:lease"))

    done = tail(shell, "s", "--cancel", "--reason", "seen enough")
    run.communicate(timeout=30)

    assert done.code == 0, done
    assert "has ended as 'cancelled' after 7 bytes: 'seen enough', by " in done.stderr
    assert shell.file("out.txt") == "partial"
    assert tail(shell, "s").stdout == b"partial"


# What is said wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cancel"], "--cancel needs STREAM\nTry: streamfan tail --list, for the ids of streams"),
        (["--from", "5"], "--from needs STREAM\nTry: streamfan tail --list, for the ids of streams"),
        (["--attempt", "7"], "--attempt needs STREAM\nTry: streamfan tail --list, for the ids of streams"),
        (["--count", "5"], "--count needs --list\nTry: --list as well"),
        (["--json"], "--json needs --list\nTry: --list as well"),
        (["s", "--reason", "x"], "--reason needs --cancel\nTry: --cancel as well"),
        (["s", "--token-file", "token"], "--token-file needs --cancel\nTry: --cancel as well"),
        (["s", "--list"], "--list does not go with STREAM\nTry: streamfan tail --help"),
        (["--list", "--events"], "--list does not go with --events\nTry: streamfan tail --help"),
        (["--list", "--cancel"], "--list does not go with --cancel\nTry: streamfan tail --help"),
        (["--list", "--from", "5"], "--list does not go with --from\nTry: streamfan tail --help"),
        (["--list", "--wait", "5"], "--list does not go with --wait\nTry: streamfan tail --help"),
        (["s", "--cancel", "--events"], "--cancel does not go with --events\nTry: streamfan tail --help"),
        (["s", "--cancel", "--from", "5"], "--cancel does not go with --from\nTry: streamfan tail --help"),
        (["s", "--password-file", "empty"], "--password-file: file 'empty' is empty"),
        (["s", "--cancel", "--token-file", "empty"], "--token-file: file 'empty' is empty"),
        (["s", "--cancel", "--token-file", "binary"], "--token-file: file 'binary' cannot be read: "),
        (["../s"], "stream id '../s' is malformed, expected 1 to 64 letters"),
        (["s", "--wait", "nan"], "wait is nan, expected seconds"),
        (["s", "--prefix", "a{b}"], "prefix 'a{b}' is malformed"),
        (["--list", "--prefix", "a b"], "prefix 'a b' is malformed"),
        (["s", "--url", "http://user:s3cr3t@host"], "the Redis URL begins with none of redis://"),
        (["s", "--url", "redis://:s3cr3t@host/x"], "the Redis URL has a path that is no database number"),
        (["s", "--url", "redis://:s3cr3t\udcff@host"], "the Redis URL is no UTF-8\nTry: redis://"),
        (["s", "--url", "redis://:s3cr3tö@host?encoding=ascii"], "the Redis URL has an option that cannot be used"),
        (["--list", "--url", "redis://host?retry=3"], "the Redis URL has an option that cannot be used: 'retry'"),
        (["s", "--from", "9" * 20], f"offset {'9' * 20} is none"),
        (["s", "--prefix", "a\udcff"], r"prefix 'a\udcff' is no UTF-8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_said_wrong_is_one_clear_error(
    shell: Shell, server: RedisServer, arguments: list[str], said: str
) -> None:
    (shell.folder / "token").write_text("open sesame")
    (shell.folder / "empty").write_text("\n")
    (shell.folder / "binary").write_bytes(b"\xff\xfe")

    done = tail(shell, *arguments)

    assert (done.code, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"Error: {said}")
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["a", "b"], ["s", "--from", "-1"], ["s", "--wait", "soon"], ["--lits"]], ids=" ".join
)
def test_what_cannot_be_parsed_is_usage(shell: Shell, arguments: list[str]) -> None:
    assert tail(shell, *arguments).code == 2


def test_a_token_that_is_no_utf8_is_one_clear_error(shell: Shell) -> None:
    done = tail(shell, "s", "--cancel", env={"STREAMFAN_TOKEN": "s3cr3t\udcff"})

    assert (done.code, done.stderr) == (2, "Error: $STREAMFAN_TOKEN is no UTF-8\n")


def test_a_url_of_the_environment_is_named_as_such(shell: Shell) -> None:
    done = tail(shell, "s", env={"REDIS_URL": "nonsense-s3cr3t"})

    assert (done.code, done.stdout) == (2, b"")
    assert done.stderr.startswith("Error: $REDIS_URL begins with none of redis://")


def test_help_has_examples_and_exit_codes(shell: Shell) -> None:
    done = tail(shell, "--help")

    text = done.stdout.decode()
    assert done.code == 0
    assert "streamfan tail 20261120-172331-k3f9 --cancel" in text
    assert "130  interrupted; the stream goes on" in text
    for option in (
        "--url",
        "--password-file",
        "--from",
        "--attempt",
        "--events",
        "--list",
        "--count",
        "--json",
        "--cancel",
        "--token-file",
        "--wait",
        "--prefix",
    ):
        assert option in text
