"""`streamfan check` and `streamfan schema`, as somebody meets them who writes a configuration."""

from __future__ import annotations

import json
import re

from tests.support.command import Shell
from tests.support.distributions import Site
from tests.support.redis_server import free_port

CLINGING = """
    import threading
    from streamfan import Sink, hookimpl

    class Clinging(Sink):
        name = "clinging"
        def write(self, chunk): ...
        def disconnect(self):
            threading.Event().wait()

    @hookimpl
    def streamfan_sinks():
        return [Clinging]
"""


def test_what_was_reached_is_said_and_nothing_is_made(shell: Shell) -> None:
    done = shell.run("check", "-s", "file:out.txt", "-s", "b=file:{stream}.txt")

    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.decode().splitlines() == [
        "sink 'stdout': reached",
        "sink 'file' at out.txt: reached",
        "sink 'b' at {stream}.txt: reached",
    ]
    assert not list(shell.folder.iterdir())


def test_required_sink_that_is_not_reached_is_an_error_of_its_own(shell: Shell) -> None:
    port = free_port()

    done = shell.run("check", "-s", f"redis://localhost:{port}", "-s", "file:x", "-o", "redis.lane.connect_timeout=3")

    assert done.code == 4
    assert "sink 'file' at x: reached" in done.stdout.decode()
    # Whether the last of its tries has failed, or the time is over while it waits for that one.
    unreached = rf"^Error: sink .redis.: (not reached within 3 s: .*)?Redis at redis://localhost:{port}"
    assert re.search(unreached, done.stderr, re.MULTILINE)


def test_sink_that_is_not_required_is_a_warning(shell: Shell) -> None:
    options = ("-o", "redis.lane.connect_timeout=0.2", "-o", "redis.lane.required=false")

    done = shell.run("check", "-s", f"redis://localhost:{free_port()}", *options)

    assert done.code == 0
    assert "Warning: sink 'redis'" in done.stderr


def test_sink_that_does_not_let_go_keeps_nobody_waiting(shell: Shell) -> None:
    Site(shell.site).install_sink("clinging", CLINGING)

    done = shell.run("check", "-s", "clinging", "-o", "clinging.lane.call_timeout=1000")

    assert done.code == 0
    assert "sink 'clinging': reached" in done.stdout.decode()


def test_configuration_that_is_wrong_is_usage(shell: Shell) -> None:
    done = shell.run("check", "-s", "file:x", "-o", "file.formt=jsonl")

    assert (done.code, done.stdout) == (2, b"")
    assert "format" in done.stderr


def test_no_model_is_loaded(shell: Shell) -> None:
    shell.install_source("heavy", "def load(self, request):\n    raise SystemExit('loaded')")

    assert shell.run("check", "--source", "heavy", "-s", "file:x").code == 0


def test_schema_is_json_for_the_sinks_that_are_installed(shell: Shell) -> None:
    shell.install_ill_sinks()

    done = shell.run("schema")

    assert (done.code, done.stderr) == (0, "")
    assert {"sink-redis", "sink-hung"} <= json.loads(done.stdout)["$defs"].keys()
