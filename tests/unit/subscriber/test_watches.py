"""What is asked of a server for those who read, and in what order; its answers are scripted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from streamfan.errors import ServerRefused, ServerUnreachable, SinkError, StreamNotFound
from streamfan.events import Event, Text, encode
from streamfan.redis.address import Address
from streamfan.redis.errors import Refused, Unreachable
from streamfan.redis.lease import Lease
from streamfan.redis.names import EntryId, Names
from streamfan.subscriber import watches as module
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Phase, Reader
from streamfan.subscriber.watches import Watches
from tests.support.wire_events import ATTEMPT, STREAM, entry, start, taken, text

if TYPE_CHECKING:
    from streamfan.redis.servers import Servers
    from streamfan.subscriber.channels import Channels

HERE = Address("redis://here")
LIVE = Names("streamfan", STREAM).live


class ScriptedServer:
    """The servers, their one connection, and who listens to them.

    Attributes:
        logs: What each log holds, or the error that asking for it meets.
        asked: Every command, in the batches in which they came.
        lease: What every lease holds.
        sends: How many entries of a log it sends at most before it hangs up.
        listened: Channels that were asked for, and with "-" those that were left.
    """

    sharded = False

    def __init__(self) -> None:
        self.logs: dict[str, list[Event] | SinkError] = {}
        self.asked: list[tuple[tuple[Any, ...], ...]] = []
        self.listened: list[str] = []
        self.lease: bytes | None = None
        self.sends: int | None = None

    def home(self, key: str) -> Address:
        return HERE

    def at(self, key: str) -> ScriptedServer:
        return self

    def listen(self, channel: str, address: Address, *, sharded: bool) -> None:
        self.listened.append(channel)

    def ignore(self, channel: str) -> None:
        self.listened.append(f"-{channel}")

    def answers(self, *commands: tuple[Any, ...]) -> list[Any]:
        self.asked.append(commands)
        if self.sends is not None and any(self._size(*command) > self.sends for command in commands):
            raise Unreachable("closed by server")
        return [self._answer(*command) for command in commands]

    @property
    def counts(self) -> list[int]:
        """How many entries of a log were asked for, each time."""
        return [command[-1] for batch in self.asked for command in batch if command[0] == "XRANGE"]

    def count(self, batch: tuple[tuple[Any, ...], ...]) -> int:
        """How many entries a batch asks for."""
        return sum(command[-1] for command in batch if command[0] == "XRANGE")

    def _size(self, command: str, key: str, *arguments: Any) -> int:
        """How many entries of a log this would be answered with, more or less."""
        held = self.logs.get(key, [])
        return min(arguments[-1], len(held)) if command == "XRANGE" and isinstance(held, list) else 0

    def _answer(self, command: str, key: str, *arguments: Any) -> Any:
        if command in {"GET", "PTTL"} or key.endswith(":attempt"):
            return {"GET": self.lease, "PTTL": 15_000 if self.lease else -2}.get(command, [])
        held = self.logs.get(key, [])
        if isinstance(held, SinkError):
            return held
        entries = [(id, [str(id).encode(), [b"event", data]]) for id, data in map(entry, held)]
        if command == "XREVRANGE":
            return [found for _, found in entries[-1:]]
        start, _, _, count = arguments
        first = EntryId.parse(start.strip("(").encode())
        return [found for id, found in entries if id > first or (id == first and "(" not in start)][:count]


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
def watches(server: ScriptedServer) -> Watches:
    return Watches(HERE, cast("Servers", server), cast("Channels", server), "streamfan")


def reader(watches: Watches, stream: str = STREAM, *, patience: float = 0.0) -> Reader:
    made = Reader(stream, 0, Mailbox(lambda: None))
    watches.add(made, patience)
    return made


def log(stream: str) -> str:
    return Names("streamfan", stream).log


def test_the_log_is_read_only_once_the_channel_is_listened_to(server: ScriptedServer, watches: Watches) -> None:
    server.logs[log(STREAM)] = [start(), text(0, "Hello")]
    made = reader(watches)

    watches.listen()
    watches.read()
    watches.scan(0.0)
    before = (list(server.listened), list(server.asked))
    watches.acknowledged(LIVE)
    watches.read()
    watches.read()

    assert before == ([LIVE], [])
    assert taken(made) == [start(), text(0, "Hello")]
    assert made.phase is Phase.LIVE


def test_two_who_read_the_same_stream_listen_once(server: ScriptedServer, watches: Watches) -> None:
    first = reader(watches)
    second = reader(watches)
    watches.listen()

    watches.remove(first)
    still = list(server.listened)
    watches.remove(second)

    assert still == [LIVE]
    assert server.listened == [LIVE, f"-{LIVE}"]
    assert not watches


def test_after_a_lost_connection_it_listens_again_before_it_reads(server: ScriptedServer, watches: Watches) -> None:
    server.logs[log(STREAM)] = [start()]
    reader(watches)
    watches.listen()
    watches.acknowledged(LIVE)
    watches.read()
    watches.deafen()
    asked = len(server.asked)

    watches.read()
    watches.listen()

    assert len(server.asked) == asked
    assert server.listened == [LIVE, LIVE]


def test_a_page_has_fewer_entries_where_they_are_large_and_an_answer_has_not_too_many(
    server: ScriptedServer, watches: Watches
) -> None:
    for name, size in (("small", 10), ("large", 65_536)):
        server.logs[log(name)] = [text(number * size, "x" * size) for number in range(20)]
    readers = [reader(watches, name) for name in ("small", "large") for _ in range(10)]
    watches.listen()
    for name in ("small", "large"):
        watches.acknowledged(Names("streamfan", name).live)

    for _ in range(3):
        watches.read()
        for made in readers:
            taken(made)
            watches.make_room(made)

    first, second = server.counts[:20], server.counts[20:]
    assert set(first) == {16}
    assert sorted(set(second)) == [3, 128]
    assert max(map(server.count, server.asked)) <= 512


@pytest.fixture
def large(server: ScriptedServer, watches: Watches) -> Reader:
    """A reader of a log that the server does not send as a whole, with another stream beside it."""
    server.logs[log(STREAM)] = [text(number, "x") for number in range(40)]
    server.logs[log("other")] = [start()]
    made = reader(watches)
    reader(watches, "other")
    watches.listen()
    for name in (STREAM, "other"):
        watches.acknowledged(Names("streamfan", name).live)
    watches.read()
    return made


def read_again(watches: Watches) -> None:
    """Read, and after a lost connection listen first."""
    try:
        watches.read()
    except Unreachable:
        watches.deafen()
        watches.listen()
        for name in (STREAM, "other"):
            watches.acknowledged(Names("streamfan", name).live)


def test_a_page_that_broke_the_connection_is_asked_for_by_half_and_alone(
    server: ScriptedServer, watches: Watches, large: Reader
) -> None:
    server.sends = 3
    del server.asked[:]

    for _ in range(30):
        read_again(watches)

    assert server.counts[:2] == [16, 16]
    assert {8, 4} <= set(server.counts[2:6])
    assert [event.offset for event in taken(large) if isinstance(event, Text)] == list(range(40))
    assert not watches.strained


def test_who_is_sent_nothing_however_little_is_told_after_a_minute_and_nobody_else(
    server: ScriptedServer, watches: Watches, large: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sends = 0
    server.logs[log("other")] = []
    now = [time.monotonic()]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    for seconds in (0, 1, 58):
        now[0] += seconds
        read_again(watches)
    before = taken(large)
    strained = watches.strained
    now[0] += 1
    read_again(watches)

    (error,) = taken(large)
    assert (before, strained) == ([], True)
    assert isinstance(error, ServerUnreachable)
    assert watches


def test_many_streams_are_asked_about_in_batches(server: ScriptedServer, watches: Watches) -> None:
    names = [f"s{number}" for number in range(150)]
    for name in names:
        server.logs[log(name)] = [start()]
        reader(watches, name)
    watches.listen()
    for name in names:
        watches.acknowledged(Names("streamfan", name).live)

    watches.read()

    assert sorted(map(len, server.asked)) == [22, 64, 64]


def test_a_stream_that_is_not_there_is_told_to_the_impatient(server: ScriptedServer, watches: Watches) -> None:
    impatient, patient = reader(watches), reader(watches, patience=60)
    watches.listen()
    watches.acknowledged(LIVE)

    watches.read()

    (error,) = taken(impatient)
    assert isinstance(error, StreamNotFound)
    assert (taken(patient), patient.phase) == ([], Phase.SEEKING)


def test_an_attempt_that_is_not_there_is_told(server: ScriptedServer, watches: Watches) -> None:
    server.logs[log(STREAM)] = [start()]
    made = Reader(STREAM, 5, Mailbox(lambda: None), 8)
    watches.add(made, 0.0)
    watches.listen()
    watches.acknowledged(LIVE)

    watches.read()

    (error,) = taken(made)
    assert str(error) == "there is no attempt 8 at stream 's' in Redis at redis://here"


def test_a_stream_that_was_not_there_is_read_at_once_when_its_channel_speaks(
    server: ScriptedServer, watches: Watches
) -> None:
    made = reader(watches, patience=60)
    watches.listen()
    watches.acknowledged(LIVE)
    watches.read()
    server.logs[log(STREAM)] = [start()]

    watches.hear(LIVE, encode(start()))
    due = watches.next_at
    watches.read()
    watches.read()

    assert due == 0.0
    assert taken(made) == [start()]


def test_an_answer_that_refuses_one_stream_is_told_to_its_readers_only(
    server: ScriptedServer, watches: Watches
) -> None:
    server.logs[log(STREAM)] = Refused("NOPERM")
    server.logs[log("other")] = [start()]
    made, other = reader(watches), reader(watches, "other")
    watches.listen()
    for name in (STREAM, "other"):
        watches.acknowledged(Names("streamfan", name).live)

    watches.read()

    (error,) = taken(made)
    assert isinstance(error, ServerRefused)
    assert other.phase is Phase.CATCHING_UP


def test_an_answer_that_may_pass_is_a_lost_connection_and_told_to_nobody(
    server: ScriptedServer, watches: Watches
) -> None:
    server.logs[log(STREAM)] = Unreachable("LOADING")
    made = reader(watches)
    watches.listen()
    watches.acknowledged(LIVE)

    with pytest.raises(Unreachable):
        watches.read()

    assert (taken(made), made.phase) == ([], Phase.SEEKING)


def test_of_a_log_whose_producer_does_not_publish_only_the_last_entry_is_asked_for(
    server: ScriptedServer, watches: Watches, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    server.logs[log(STREAM)] = [start()]
    server.lease = Lease(attempt=ATTEMPT, writer="w", seconds=20, live=False).encode()
    made = reader(watches)
    watches.listen()
    watches.acknowledged(LIVE)
    watches.read()
    watches.read()
    watches.scan(0.0)
    del server.asked[:]

    for _ in range(42):
        now[0] += 0.05
        watches.scan(0.0)
        watches.read()
    quiet = [len(batch) for batch in server.asked]
    server.logs[log(STREAM)] = [start(), text(0, "Hello")]
    for _ in range(20):
        now[0] += 0.05
        watches.scan(0.0)
        watches.read()

    assert quiet == [1, 1, 1, 1, 4]
    assert taken(made) == [start(), text(0, "Hello")]


@pytest.mark.parametrize("data", [b"nonsense", b"", b"[" * 100_000, encode(text(0, "Hello")).replace(b'"s"', b'"t"')])
def test_what_is_no_event_of_the_stream_is_not_heard(server: ScriptedServer, watches: Watches, data: bytes) -> None:
    server.logs[log(STREAM)] = [start()]
    made = reader(watches)
    watches.listen()
    watches.acknowledged(LIVE)
    watches.read()
    watches.read()
    taken(made)

    watches.hear(LIVE, data)
    watches.hear("another channel", encode(text(0, "Hello")))

    assert (taken(made), made.phase) == ([], Phase.LIVE)
