"""Programs that write to one archive at a time, and programs that are killed."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from streamfan import Chunk, Event, Start, StreamInfo, Text
from streamfan.events import encode
from tests.support import DEADLINE, STREAM, TIME, check_whole, ending, found, rows, streamfan, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.context import ForkServerContext, ForkServerProcess
    from pathlib import Path

KILLS = 50
LETTERS = "abcdefghij      äß語😀\0\n"


def text(seed: str, length: int) -> str:
    """Any text; the same for the same seed."""
    chance = random.Random(seed)
    return "".join(chance.choice(LETTERS) for _ in range(length)) + f" last-of-{seed}"


TEXTS = {id: text(id, length) for id, length in (("a", 15_000), ("b", 10_000), ("c", 20_000))}


def events_of(stream: StreamInfo, text: str) -> Iterator[Event]:
    """A stream whose pieces came a millisecond after one another."""
    chance, position, offset, moment = random.Random(stream.id), 0, 0, TIME
    yield Start.of(stream)
    while position < len(text):
        piece = text[position : position + chance.choice((1, 5, 20, 100))]
        yield Text.of(chunk := Chunk(stream, offset, piece.encode(), time=moment))
        position, offset, moment = position + len(piece), chunk.end, moment + timedelta(milliseconds=1)
    yield replace(ending(stream, text), time=moment)


def record(path: Path, texts: Mapping[str, str]) -> str:
    """A recording of streams that were generated at the same time."""
    turns = zip_longest(*(events_of(replace(STREAM, id=id), text) for id, text in texts.items()))
    path.write_bytes(b"".join(encode(event) + b"\n" for turn in turns for event in turn if event is not None))
    return str(path)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Starts processes that have imported everything by then."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["streamfan.cli.replay", "streamfan_sqlite.sink", "streamfan.sources.recording"])
    return context


class Replays:
    """Replays of a recording to one archive."""

    def __init__(self, processes: ForkServerContext, recording: str, path: Path) -> None:
        self._processes = processes
        self._recording = recording
        self._path = path

    def start(self, *more: str) -> ForkServerProcess:
        """Start one."""
        arguments = ("replay", self._recording, "-q", "-s", f"sqlite:{self._path}", *more)
        process = self._processes.Process(target=streamfan, args=arguments)
        process.start()
        return process

    def run(self) -> None:
        """Replay all of it at once, to the end."""
        process = self.start()
        process.join(DEADLINE)
        assert process.exitcode == 0

    def kill(self, enough: int, pause: float) -> None:
        """Replay it in its rhythm, and kill that when so many bytes are there, and some seconds later."""
        process = self.start("--speed", "4", "-o", "sqlite.lane.linger=0")
        deadline = time.monotonic() + DEADLINE
        while process.is_alive() and self.size() < enough:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        time.sleep(pause)
        process.kill()
        process.join(DEADLINE)
        assert process.exitcode in {0, -signal.SIGKILL}

    def size(self) -> int:
        """How many bytes of texts are in the archive, if there is one."""
        if not self._path.exists():
            return 0
        with closing(sqlite3.connect(self._path, timeout=DEADLINE)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pieces'").fetchone() is None:
                return 0
            sql = "SELECT total(bytes) FROM (SELECT bytes FROM pieces UNION ALL SELECT bytes FROM generations)"
            return int(connection.execute(sql).fetchone()[0])


@pytest.mark.timeout(300)
def test_texts_survive_kills(processes: ForkServerContext, tmp_path: Path) -> None:
    recording = record(tmp_path / "recording.jsonl", TEXTS)
    whole = sum(len(text.encode()) for text in TEXTS.values())
    chance, in_the_middle = random.Random(KILLS), 0

    for number in range(KILLS):
        path = tmp_path / f"{number}.db"
        replays = Replays(processes, recording, path)
        # Also before there is anything, and when all is there.
        replays.kill(int(min(chance.uniform(-0.1, 1.1), 1.0) * whole), chance.random() / 100)
        in_the_middle += 0 < replays.size() < whole
        if replays.size():
            for id, text in TEXTS.items():
                assert text.startswith(text_of(path, id, STREAM.attempt))

        replays.run()

        assert {id: text_of(path, id, STREAM.attempt) for id in TEXTS} == TEXTS
        assert rows(path, "SELECT count(*) AS rows, sum(complete) AS complete FROM generations") == [
            {"rows": 3, "complete": 3}
        ]
        assert rows(path, "SELECT * FROM pieces") == []
        assert all(found(path, f'"last of {id}"') == [id] for id in TEXTS)
        check_whole(path)

    # Otherwise nothing was shown: all were killed before they wrote anything, or after all.
    assert in_the_middle > KILLS / 4


def test_several_programs_write_at_a_time(processes: ForkServerContext, tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    texts = [{f"{letter}{number}": text(f"{letter}{number}", 2000) for number in range(4)} for letter in "abcde"]
    recordings = [record(tmp_path / f"{number}.jsonl", each) for number, each in enumerate(texts)]

    # They also make the archive at the same time.
    running = [Replays(processes, recording, path).start("--speed", "8") for recording in recordings]
    for process in running:
        process.join(DEADLINE)

    assert [process.exitcode for process in running] == [0] * len(running)
    for id, expected in {id: text for each in texts for id, text in each.items()}.items():
        assert text_of(path, id, STREAM.attempt) == expected
        assert found(path, f'"last of {id}"') == [id]
    check_whole(path)


def test_several_programs_write_the_same_streams(processes: ForkServerContext, tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    recording = record(tmp_path / "recording.jsonl", TEXTS)

    running = [Replays(processes, recording, path).start() for _ in range(3)]
    for process in running:
        process.join(DEADLINE)

    assert [process.exitcode for process in running] == [0, 0, 0]
    assert {id: text_of(path, id, STREAM.attempt) for id in TEXTS} == TEXTS
    check_whole(path)
