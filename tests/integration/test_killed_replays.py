"""`streamfan replay` is killed at a random moment, and then started once more: nothing is lost, and nothing doubled."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import pytest

from streamfan.events import Chunk, End, Event, Start, StreamInfo, Text, decode, encode
from tests.support.chunks import TIME
from tests.support.deliveries import ending
from tests.support.faults import injects, switched_off
from tests.support.sinks import DEADLINE
from tests.support.writers import random_text
from tests.support.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.redis_server import RedisServer
    from tests.support.zygote import Command

# None ends with a newline, so that in a file for all of them there is one between two.
TEXTS = {id: random_text(length) + "." for id, length in (("a", 40_000), ("b", 30_000), ("c", 50_000))}
ATTEMPT = 7
# So it takes some 50 ms, and there is something to be in the middle of.
SPEED = "16"


def events_of(id: str, text: str) -> Iterator[Event]:
    """A stream whose pieces came a millisecond after one another."""
    stream = StreamInfo(id=id, attempt=ATTEMPT, writer="w", time=TIME)
    chance, position, offset, token, time = random.Random(id), 0, 0, 0, TIME
    yield Start.of(stream)
    while position < len(text):
        piece = text[position : position + chance.choice((1, 5, 20, 100, 200))]
        yield Text.of(chunk := Chunk(stream, offset, piece.encode(), (token,), time))
        position, offset = position + len(piece), chunk.end
        token, time = token + 1, time + timedelta(milliseconds=1)
    yield replace(ending(stream, text), tokens=token, time=time)


TOKENS = {id: sum(isinstance(event, Text) for event in events_of(id, text)) for id, text in TEXTS.items()}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three streams that were generated at the same time."""
    path = tmp_path_factory.mktemp("recording") / "recording.jsonl"
    turns = zip_longest(*(events_of(id, text) for id, text in TEXTS.items()))
    path.write_bytes(b"".join(encode(event) + b"\n" for event in chain(*turns) if event is not None))
    return path


class Place(ABC):
    """Where a recording is replayed to.

    Attributes:
        sink: The sink's id.
        arguments: What says so to the command.
        again: What says besides that something may be there.
    """

    sink = "file"
    arguments: tuple[str, ...]
    again: tuple[str, ...] = ("-o", "file.mode=resume")

    @abstractmethod
    def clear(self) -> None:
        """Remove what is there."""

    @abstractmethod
    def size(self) -> int:
        """How much is there, in any unit."""

    @abstractmethod
    def check(self, *, whole: bool = False) -> None:
        """What is there must be the beginning of every text, or all of it, each byte once."""


class Files(Place):
    """One text file for all streams, one after the other, or several.

    Args:
        contents: What is to be there in the end, by the names of the files.
    """

    def __init__(self, folder: Path, name: str, contents: dict[str, str]) -> None:
        self.arguments = ("-s", f"file:{folder / name}")
        self._contents = {folder / name: text.encode() for name, text in contents.items()}

    def clear(self) -> None:
        for path in self._contents:
            path.unlink(missing_ok=True)

    def size(self) -> int:
        return sum(path.stat().st_size for path in self._contents if path.exists())

    def check(self, *, whole: bool = False) -> None:
        for path, data in self._contents.items():
            held = path.read_bytes() if path.exists() else b""
            assert held == data if whole else data.startswith(held)


class EventFile(Place):
    """The events of all streams in one file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "out.jsonl"
        self.arguments = ("-s", f"file:{self._path}", "-o", "file.format=jsonl")

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def check(self, *, whole: bool = False) -> None:
        *lines, torn = (self._path.read_bytes() if self._path.exists() else b"").split(b"\n")
        assert not (whole and torn)
        check_events([decode(line) for line in lines], whole=whole)


class Log(Place):
    """The logs of all streams in Redis, which go on where they were left in any case."""

    sink = "redis"
    again = ()

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        self.arguments = ("-s", server.url)

    def clear(self) -> None:
        self._client.flushall()

    def size(self) -> int:
        last = (self._client.xrevrange(self._key(id), count=1) for id in TEXTS)
        return sum(int(entry[0][0].partition("-")[2]) for entry in last if entry)

    def check(self, *, whole: bool = False) -> None:
        entries = [entry for id in TEXTS for entry in self._client.xrange(self._key(id))]
        check_events([decode(fields["event"]) for _, fields in entries], whole=whole)

    @staticmethod
    def _key(id: str) -> str:
        return f"streamfan:{{{id}}}:log"


def check_events(events: list[Event], *, whole: bool) -> None:
    """Events must be the beginning of every stream, or all of it, each byte and each token id once."""
    for id, text in TEXTS.items():
        mine = [event for event in events if event.stream == id]
        texts = [event for event in mine if isinstance(event, Text)]
        assert [type(event) for event in mine] == [Start, *[Text] * len(texts), End][: len(mine)]
        assert {event.attempt for event in mine} <= {ATTEMPT}
        data, position = text.encode(), 0
        for event in texts:
            assert event.offset == position
            assert event.text.encode() == data[event.offset : event.end]
            position = event.end
        assert (position, len(mine)) == (len(data), len(texts) + 2) or not whole
        ids = [id for event in texts for id in event.token_ids]
        assert ids == list(range(TOKENS[id] if whole else len(ids)))


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with Zygote(tmp_path_factory.mktemp("zygote")) as zygote:
        yield zygote


class Replays:
    """Replays of a recording to one place, some of which are killed."""

    def __init__(self, zygote: Zygote, recording: Path, place: Place) -> None:
        self._zygote = zygote
        self._recording = str(recording)
        self._place = place
        self._chance = random.Random(place.sink)
        self._whole = 0

    def survive(self, kills: int) -> None:
        """Kill so many, each time in a place that is empty before, and whole after another one that is not killed."""
        self._place.clear()
        self._run()
        self._whole = self._place.size()
        in_the_middle = 0
        for _ in range(2 if switched_off() else kills):
            self._place.clear()
            self._kill()
            in_the_middle += 0 < self._place.size() < self._whole
            while self._chance.random() < 0.3:
                self._kill(*self._place.again)
            self._run(*self._place.again)
        # Otherwise nothing was shown: all were killed before they wrote anything, or after all.
        assert in_the_middle > kills / 4

    def _kill(self, *more: str) -> None:
        """Replay it, in its rhythm or at once, and kill that at any moment."""
        chance = self._chance
        # Also before there is anything, and when all is there.
        enough = min(chance.uniform(-0.1, 1.1) * self._whole, self._whole)
        pause = chance.choice((0.0, chance.random() / 40))
        rhythm = ("--speed", SPEED, "-o", f"{self._place.sink}.lane.linger={chance.choice((0, 0.01))}")
        command = self._start(*chance.choice((rhythm, rhythm, ())), *more)
        deadline = time.monotonic() + DEADLINE
        while command.running and self._place.size() < enough:
            assert time.monotonic() < deadline, command.stderr
            time.sleep(0.0005)
        time.sleep(pause)
        injects(command.kill)()
        assert command.wait() in {0, -signal.SIGKILL}, command.stderr
        self._place.check()

    def _run(self, *more: str) -> None:
        """Replay all of it at once, to the end, and look what the report says."""
        command = self._start("--summary", "json", *more)
        assert command.wait() == 0, command.stderr
        streams = command.summary["streams"]
        assert {stream["id"] for stream in streams} == TEXTS.keys()
        for stream in streams:
            text = TEXTS[stream["id"]].encode()
            sha256 = hashlib.sha256(text).hexdigest()
            (delivery,) = stream["deliveries"]
            assert (stream["finish_reason"], stream["sha256"]) == ("stop", sha256)
            assert (delivery["complete"], delivery["bytes"], delivery["sha256"]) == (True, len(text), sha256)
        self._place.check(whole=True)

    def _start(self, *more: str) -> Command:
        return self._zygote.start("replay", self._recording, "-q", *self._place.arguments, *more)


@pytest.mark.guarantee("file", "killed")
@pytest.mark.timeout(240)
def test_text_survives_kills_of_its_replays(zygote: Zygote, recording: Path, tmp_path: Path) -> None:
    place = Files(tmp_path, "out.txt", {"out.txt": "\n".join(TEXTS.values())})

    Replays(zygote, recording, place).survive(60)


@pytest.mark.guarantee("file", "killed")
@pytest.mark.timeout(240)
def test_several_texts_survive_kills_of_their_replays(zygote: Zygote, recording: Path, tmp_path: Path) -> None:
    place = Files(tmp_path, "{stream}.txt", {f"{id}.txt": text for id, text in TEXTS.items()})

    Replays(zygote, recording, place).survive(60)


@pytest.mark.guarantee("file", "killed")
@pytest.mark.timeout(240)
def test_file_of_events_survives_kills_of_its_replays(zygote: Zygote, recording: Path, tmp_path: Path) -> None:
    Replays(zygote, recording, EventFile(tmp_path)).survive(40)


@pytest.mark.guarantee("redis", "killed")
@pytest.mark.timeout(240)
def test_streams_survive_kills_of_their_replays(zygote: Zygote, recording: Path, server: RedisServer) -> None:
    Replays(zygote, recording, Log(server)).survive(40)
