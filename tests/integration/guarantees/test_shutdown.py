"""SIGTERM, while a destination is well, hangs, or fails: over in time, and the file beside it has every byte."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import faults
from tests.support.command import end_of, write
from tests.support.reader import held
from tests.support.receiver import Receiver, answer, silence
from tests.support.redis_server import RedisServer
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Shell

# More than any pipe takes that nobody reads.
BEFORE, AFTER = "before\n", "after\n" * 30_000
HEALTHY = ("-s", "healthy=file:healthy.txt")


@dataclass
class Place:
    """Where a sink delivers to.

    Attributes:
        sink: The sink's name.
        arguments, streams: What the run is started with.
        strike: Brings about the state that it is to be in.
    """

    sink: str
    arguments: tuple[str, ...] = ("-q",)
    streams: dict[str, Any] = field(default_factory=dict)
    strike: Callable[[], object] = lambda: None


@contextmanager
def unread_stdout(shell: Shell) -> Iterator[Place]:
    read_end, write_end = os.pipe()
    with held(lambda: read_end):
        try:
            yield Place("stdout", (), {"stdout": write_end})
        finally:
            os.close(write_end)


@contextmanager
def full_stdout(shell: Shell) -> Iterator[Place]:
    with faults.full_device().open("wb") as full:
        yield Place("stdout", (), {"stdout": full})


@contextmanager
def unread_pipe(shell: Shell) -> Iterator[Place]:
    os.mkfifo(shell.folder / "pipe")
    with held(lambda: os.open(shell.folder / "pipe", os.O_RDONLY)):
        yield Place("file", ("-q", "-s", "file:pipe"))


@contextmanager
def full_disk(shell: Shell) -> Iterator[Place]:
    yield Place("file", ("-q", "-s", f"file:{faults.full_device()}"))


@contextmanager
def frozen_redis(shell: Shell) -> Iterator[Place]:
    with RedisServer() as server:
        yield Place("redis", ("-q", "-s", server.url), strike=server.freeze)


@contextmanager
def killed_redis(shell: Shell) -> Iterator[Place]:
    with RedisServer() as server:
        yield Place("redis", ("-q", "-s", server.url), strike=server.kill)


@contextmanager
def silent_receiver(shell: Shell) -> Iterator[Place]:
    with Receiver(silence) as receiver:
        yield Place("webhook", ("-q", "-s", receiver.url))


@contextmanager
def busy_receiver(shell: Shell) -> Iterator[Place]:
    with Receiver(answer(503, {"Retry-After": "3600"})) as receiver:
        yield Place("webhook", ("-q", "-s", receiver.url))


def when(sink: str, id: str, place: Callable[[Shell], AbstractContextManager[object]]) -> Any:
    return pytest.param(place, id=f"{sink} {id}", marks=pytest.mark.guarantee(sink, "shutdown"))


@pytest.mark.parametrize(
    "place",
    [
        when("stdout", "hung", unread_stdout),
        when("stdout", "failing", full_stdout),
        when("file", "hung", unread_pipe),
        when("file", "failing", full_disk),
        when("redis", "hung", frozen_redis),
        when("redis", "failing", killed_redis),
        when("webhook", "hung", silent_receiver),
        when("webhook", "failing", busy_receiver),
    ],
)
def test_signal_ends_the_run_in_time_and_what_this_sink_lacks_is_told_last(
    shell: Shell, place: Callable[[Shell], AbstractContextManager[Place]]
) -> None:
    with place(shell) as at:
        patience = ("-o", f"{at.sink}.lane.max_elapsed=2", "-o", f"{at.sink}.lane.call_timeout=0.5")
        with shell.running(*at.arguments, *HEALTHY, *patience, text=BEFORE, **at.streams) as process:
            wait_until(lambda: is_whole(shell, BEFORE))
            at.strike()
            write(process, AFTER)
            wait_until(lambda: is_whole(shell, BEFORE + AFTER))
            faults.signal(process, signal.SIGTERM)
            done = end_of(process, told=False)

    assert (done.code, is_whole(shell, BEFORE + AFTER)) == (128 + signal.SIGTERM, True)
    assert re.fullmatch(rf"Error: sink '{at.sink}': .*; [\d,]+ bytes not delivered", done.stderr.splitlines()[-1])


Events = Callable[[], list[dict[str, Any]]]


@contextmanager
def file_of_events(shell: Shell) -> Iterator[tuple[Place, Events]]:
    def events() -> list[dict[str, Any]]:
        return [json.loads(line) for line in shell.file("out.jsonl").splitlines()]

    yield Place("file", ("-q", "-s", "file:out.jsonl", "-o", "file.format=jsonl")), events


@contextmanager
def redis_server(shell: Shell) -> Iterator[tuple[Place, Events]]:
    with RedisServer() as server:

        def events() -> list[dict[str, Any]]:
            (log,) = server.client.keys("streamfan:*:log")
            return [json.loads(fields["event"]) for _, fields in server.client.xrange(log)]

        yield Place("redis", ("-q", "-s", server.url)), events


@contextmanager
def receiver(shell: Shell) -> Iterator[tuple[Place, Events]]:
    with Receiver() as receiver:
        yield Place("webhook", ("-q", "-s", receiver.url)), lambda: receiver.events


@pytest.mark.parametrize(
    "place",
    [
        when("file", "well", file_of_events),
        when("redis", "well", redis_server),
        when("webhook", "well", receiver),
    ],
)
def test_signal_leaves_the_text_so_far_and_an_end_that_says_who_stopped_it(
    shell: Shell, place: Callable[[Shell], AbstractContextManager[tuple[Place, Events]]]
) -> None:
    with place(shell) as (at, events):
        with shell.running(*at.arguments, *HEALTHY, text=BEFORE) as process:
            wait_until(lambda: is_whole(shell, BEFORE))
            faults.signal(process, signal.SIGTERM)
            done = end_of(process, told=False)
        start, *texts, end = events()

    assert (done.code, done.stderr.splitlines()[-1]) == (143, "streamfan: stopping; once more to exit at once")
    assert (start["type"], "".join(text["text"] for text in texts)) == ("start", BEFORE)
    assert (end["finish_reason"], end["cancel"]["by"], end["complete"]) == ("cancelled", "SIGTERM", True)


def is_whole(shell: Shell, text: str) -> bool:
    path = shell.folder / "healthy.txt"
    return path.exists() and path.read_bytes() == text.encode()
