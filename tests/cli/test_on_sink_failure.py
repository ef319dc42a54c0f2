"""`--on-sink-failure`: a generation that is worth nothing without one of its sinks is stopped when that has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.distributions import Site

if TYPE_CHECKING:
    from tests.support.command import Shell

# Refuses what the source sends first, and takes everything else.
PICKY = """
    from streamfan import Permanent, Sink, hookimpl

    class Picky(Sink):
        name = "picky"
        def write(self, chunk):
            if chunk.stream.id == "first":
                raise Permanent("not this one")

    @hookimpl
    def streamfan_sinks():
        return [Picky]
"""
BAD = ("-s", "bad=file:/dev/full", "-o", "bad.lane.max_elapsed=0.1")


def run(shell: Shell, wanted: str, *arguments: str, long: bool) -> tuple[int, list[str]]:
    """The exit code, and how the two streams of a source end that goes on for `long`, unless it is stopped."""
    shell.install_source(
        "patient",
        f"""
        def run(self, fan, request):
            with fan.open("first") as first, fan.open("second") as second:
                first.write("text")
                stopped = threading.Event()
                second.on_cancel(stopped.set)
                for _ in range({3000 if long else 100}):
                    second.write("x")
                    if stopped.wait(0.01):
                        return
        """,
    )

    done = shell.run("run", "--source", "patient", "-q", *arguments, "--on-sink-failure", wanted, "--summary", "json")

    return done.code, [stream["finish_reason"] for stream in done.summary["streams"]]


@pytest.mark.parametrize(("wanted", "reason"), [("abort", "cancelled"), ("continue", "stop")])
def test_generation_is_stopped_by_a_failed_sink_only_where_that_is_wanted(
    shell: Shell, wanted: str, reason: str
) -> None:
    done = run(shell, wanted, *BAD, "-s", "file:{stream}.txt", long=wanted == "abort")

    assert done == (3, [reason, reason])
    assert shell.file("first.txt") == "text"


def test_sink_that_has_failed_one_stream_has_failed_though_it_takes_another(shell: Shell) -> None:
    Site(shell.site).install_sink("picky", PICKY)

    assert run(shell, "abort", "-s", "picky", long=True) == (3, ["cancelled", "cancelled"])


def test_sink_whose_call_does_not_return_in_time_has_failed(shell: Shell) -> None:
    shell.install_ill_sinks()

    done = run(shell, "abort", "-s", "hung", "-o", "hung.lane.call_timeout=0.3", long=True)

    assert done == (3, ["cancelled", "cancelled"])


def test_failed_sink_that_is_not_required_stops_nothing(shell: Shell) -> None:
    Site(shell.site).install_sink("picky", PICKY)

    done = run(shell, "abort", "-s", "picky", "-o", "picky.lane.required=false", long=False)

    assert done == (0, ["stop", "stop"])
