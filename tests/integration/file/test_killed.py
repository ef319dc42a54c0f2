"""A process that is killed at a random moment, and one that goes on with what it has left."""

from __future__ import annotations

import multiprocessing
import random
import signal
from functools import cache
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from streamfan.events import End, Start, Text, decode
from tests.support import writers
from tests.support.faults import injects, switched_off
from tests.support.sinks import DEADLINE

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext
    from pathlib import Path

KILLS = 2 if switched_off() else 50
# Characters; events take longer to write, and to check.
LENGTH = {"text": 200_000, "jsonl": 30_000}


@cache
def context() -> ForkServerContext:
    """Where processes come from: a server that has imported everything, so each has begun at once."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.support.writers"])
    return made


def run(path: Path, kind: str, seed: int, *, kill_at: float = inf, kill_after: float = 0.0) -> None:
    """Let a process write the stream, to its end or until it is killed.

    Args:
        kill_at: How many bytes the file has then, at least.
        kill_after: Seconds to wait then.
    """
    begun, options = context().Event(), {"mode": "resume", "format": kind}
    process = context().Process(target=writers.write, args=(str(path), options, LENGTH[kind], seed, begun))
    process.start()
    assert begun.wait(DEADLINE)
    deadline = monotonic() + DEADLINE
    while size(path) < kill_at < inf and process.is_alive():
        assert monotonic() < deadline
    process.join(DEADLINE if kill_at == inf else kill_after)
    injects(process.kill)()
    process.join()
    assert process.exitcode in ({0} if kill_at == inf else {0, -signal.SIGKILL})


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def check(data: bytes, text: str, kind: str, *, whole: bool = False) -> None:
    """A file must hold the beginning of the text, or all of it, each byte once."""
    held = data if kind == "text" else text_of_events(data, whole=whole)
    assert held == text.encode() if whole else text.encode().startswith(held)


def text_of_events(data: bytes, *, whole: bool) -> bytes:
    *lines, torn = data.split(b"\n")
    events = [decode(line) for line in lines]
    texts = [event for event in events if isinstance(event, Text)]
    assert [type(event) for event in events] == [Start, *[Text] * len(texts), End][: len(events)]
    assert [event.offset for event in texts] == [0, *(event.end for event in texts)][: len(texts)]
    assert [id for event in texts for id in event.token_ids] == list(range(sum(len(event.text) for event in texts)))
    assert not whole or (len(events) == len(texts) + 2 and not torn)
    return "".join(event.text for event in texts).encode()


@pytest.mark.guarantee("file", "killed")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["text", "jsonl"])
def test_nothing_is_lost_and_nothing_doubled_by_fifty_kills(tmp_path: Path, kind: str) -> None:
    path, text = tmp_path / "a.out", writers.random_text(LENGTH[kind])
    run(path, kind, 0)
    whole = size(path)
    path.unlink()
    chance = random.Random(kind)
    in_the_middle = 0

    for seed in range(1, KILLS + 1):
        run(path, kind, seed, kill_at=chance.uniform(0, whole), kill_after=chance.choice((0.0, chance.random() / 100)))
        in_the_middle += 0 < size(path) < 0.95 * whole
        check(path.read_bytes() if path.exists() else b"", text, kind)
        # Otherwise the next process goes on with what this one has left, and is killed as well.
        if chance.random() < 0.5 or seed == KILLS:
            run(path, kind, -seed)
            check(path.read_bytes(), text, kind, whole=True)
            path.unlink()

    # Otherwise nothing was shown: all were killed before they wrote anything, or after all.
    assert in_the_middle > KILLS / 5
