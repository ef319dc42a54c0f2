"""Whatever happens, in whatever order: what a reader got is the producer's text, from where it began, and all of it.

What it did not get it was told of. A real server, and real connections that are cut.
"""

from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from streamfan.errors import HistoryTrimmed, Restarted, StreamfanError
from streamfan.events import End, Gap, Start, Text
from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.redis.lease import Lease
from streamfan.sinks.redis import RedisOptions, RedisSink
from streamfan.subscriber import subscribe
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import PATIENCE, RedisServer
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from streamfan.events import Event
    from streamfan.stream import Stream

LOG, LEASE = "streamfan:{s}:log", "streamfan:{s}:lease"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SOME = st.integers(0, 2**16)
"""Picks one of however many there are."""


class Reader:
    """Reads events in a thread of its own, and goes on after what can be gone on after."""

    def __init__(self, url: str, offset: int = 0, attempt: int = 0) -> None:
        self.offset = offset
        self.attempt = attempt
        self.got: list[Event | StreamfanError] = []
        self.left = False
        self.subscription = subscribe(url, "s", offset=offset, attempt=attempt, events=True, wait=PATIENCE)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def leave(self) -> None:
        self.left = True
        self.subscription.close()

    def check(self, texts: dict[int, bytes], trimmed: dict[int, int]) -> None:
        """Compare what it got with what was written, attempt by attempt; the log has lost the first bytes of some."""
        position, attempt = self.offset, self.attempt or None
        for item in self.got:
            match item:
                case Start():
                    assert attempt in {None, item.attempt}
                    attempt = item.attempt
                case Text():
                    assert attempt in {None, item.attempt}
                    assert item.offset == position, self.got
                    assert item.text.encode() == texts[item.attempt][item.offset : item.end]
                    attempt, position = item.attempt, item.end
                case Restarted():
                    assert item.newer > item.attempt
                    attempt, position = item.newer, 0
                case HistoryTrimmed():
                    assert item.offset == position
                    # An attempt that another has taken the place of may be given up, and its end then says so.
                    given_up = attempt is not None and attempt < max(texts)
                    gone = max(trimmed.values(), default=0) if attempt is None else trimmed.get(attempt, 0)
                    assert given_up or item.end <= gone, (gone, self.got)
                    position = item.end
                case End():
                    assert item.offset == position == len(texts[item.attempt])
                case StreamfanError() | Gap():
                    pytest.fail(f"not to be expected: {item!r}")
        assert self.left or isinstance(self.got[-1], End), self.got

    def _run(self) -> None:
        while True:
            try:
                for event in self.subscription:
                    self.got.append(event)
                return
            except StreamfanError as error:
                self.got.append(error)
                if not isinstance(error, HistoryTrimmed | Restarted):
                    return


class Subscribing(RuleBasedStateMachine):
    """One stream with its producer, and any number of readers."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.server.client.flushall()
        self.before = FaultProxy(self.server.port).__enter__()
        self.behind = FaultProxy(self.server.port).__enter__()
        self.fan = Fan().__enter__()
        sink = RedisSink(self.before.url, RedisOptions.model_validate({"control": True}))
        self.fan.add(sink, lane=LaneOptions(linger=0.0, max_bytes=16, required=False))
        self.texts: dict[int, bytes] = {}
        # How many bytes of each attempt the log has lost.
        self.trimmed: dict[int, int] = {}
        self.readers: list[Reader] = []
        self.stream: Stream

    @initialize()
    def begin(self) -> None:
        self.open()
        self.join()

    def open(self) -> None:
        self.stream = self.fan.open("s")
        self.texts[self.stream.info.attempt] = b""

    @rule(text=TEXTS, times=st.integers(1, 5))
    def write(self, text: str, times: int) -> None:
        self.say(self.stream, text * times)

    @rule(text=TEXTS)
    def write_and_have_it_read(self, text: str) -> None:
        """Else hardly anybody would ever be where the text is."""
        self.say(self.stream, text)
        wait_until(lambda: all(map(self.is_there, self.readers)))

    @rule()
    def join(self) -> None:
        self.readers.append(Reader(self.behind.url))

    @precondition(lambda self: self.readers)
    @rule(which=SOME)
    def join_where_another_is(self, which: int) -> None:
        other = self.readers[which % len(self.readers)].subscription
        # Before it is known which attempt that is, there is no place to go on from.
        attempt = other.attempt
        self.readers.append(Reader(self.behind.url, other.offset if attempt else 0, attempt))

    @precondition(lambda self: self.readers)
    @rule(which=SOME)
    def leave(self, which: int) -> None:
        self.readers[which % len(self.readers)].leave()

    @rule()
    def cut_the_readers(self) -> None:
        self.behind.cut()

    @rule(after=st.integers(0, 3000))
    def cut_the_readers_soon(self, after: int) -> None:
        self.behind.cut_after(replies=after)

    @rule(after=st.integers(0, 3000))
    def cut_the_producer_soon(self, after: int) -> None:
        self.before.cut_after(requests=after)

    @rule(left=st.integers(1, 2))
    def trim_and_join(self, left: int) -> None:
        attempt = self.stream.info.attempt
        self.say(self.stream, "that was trimmed " * 5)
        last = f"{attempt}-{len(self.texts[attempt])}"
        wait_until(lambda: last in dict(self.server.client.xrevrange(LOG, count=1)))
        self.join()
        self.server.client.xtrim(LOG, maxlen=left, approximate=False)
        ((_, fields),) = self.server.client.xrange(LOG, count=1)
        self.trimmed[attempt] = json.loads(fields["event"])["offset"]
        self.join()

    @rule()
    def restart_the_server(self) -> None:
        self.server.kill()
        self.server.start()

    @rule()
    def restart_the_server_empty(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        self.server.start()

    @rule(text=TEXTS)
    def begin_again(self, text: str) -> None:
        older = self.stream
        self.open()
        self.say(self.stream, text)
        self.say(older, "late")
        older.end()
        # Else a server that has lost everything would let it begin again.
        wait_until(lambda: self.settled(older))

    @rule()
    def end(self) -> None:
        self.stream.end()
        wait_until(lambda: self.settled(self.stream))
        self.open()
        self.join()

    @precondition(lambda self: self.readers)
    @rule(which=SOME)
    def cancel(self, which: int) -> None:
        reader, attempt = self.readers[which % len(self.readers)], self.stream.info.attempt
        # A producer that was cut off shows that it lives again when it has something to write.
        self.say(self.stream, "to be stopped")
        wait_until(self.shows_life)
        wait_until(lambda: self.is_there(reader))
        try:
            reader.subscription.cancel("enough")
        except StreamfanError:
            # Cut off, or of an attempt that is over.
            return
        if reader.subscription.attempt == attempt:
            wait_until(lambda: self.stream.cancelled)
            self.end()

    def say(self, stream: Stream, text: str) -> None:
        self.texts[stream.info.attempt] += text.encode()
        stream.write(text)

    def is_there(self, reader: Reader) -> bool:
        """Whether a reader has all that was written, or reads no more."""
        attempt, subscription = self.stream.info.attempt, reader.subscription
        read = (subscription.attempt, subscription.offset)
        return reader.over or read == (attempt, len(self.texts[attempt]))

    def shows_life(self) -> bool:
        lease = self.server.client.get(LEASE)
        return lease is not None and Lease.decode(lease).attempt == self.stream.info.attempt

    def settled(self, stream: Stream) -> bool:
        report = next(each for each in self.fan.report.streams if each.attempt == stream.info.attempt)
        return report.deliveries[0].complete or report.deliveries[0].error is not None

    def teardown(self) -> None:
        try:
            if hasattr(self, "stream"):
                self.stream.end()
                wait_until(lambda: self.settled(self.stream))
            wait_until(lambda: all(reader.over for reader in self.readers))
            for reader in self.readers:
                reader.check(self.texts, self.trimmed)
        finally:
            self.fan.close()
            for proxy in (self.before, self.behind):
                proxy.__exit__(None, None, None)


# Without scripts a connection may break between a log and its channel, so that readers are not told.
@pytest.mark.timeout(180)
@pytest.mark.parametrize("configuration", [(), ('rename-command EVAL ""',)], ids=["scripts", "no scripts"])
def test_every_reader_has_the_text_or_was_told_what_it_lacks(configuration: tuple[str, ...]) -> None:
    with RedisServer("appendonly yes", "appendfsync always", *configuration) as server:

        class Machine(Subscribing):
            pass

        Machine.server = server
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # Not to shrink: what has to do with time seldom fails twice, and it would take longer than a test may.
                phases=[Phase.reuse, Phase.generate],
            ),
        )
