"""All streams that are read in this process from one Redis: what is asked of it, and what its answers are for.

A channel is listened to before the log is read, so that nothing falls between the two. From then on the channel brings
the news, and the log is read again where a reader may have missed something.
"""

from __future__ import annotations

import logging
from itertools import chain
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from streamfan.errors import ServerRefused, SinkError, WireError
from streamfan.events import decode
from streamfan.redis.batch import readable
from streamfan.redis.names import Names
from streamfan.subscriber import history
from streamfan.subscriber.faults import check, refusal, told
from streamfan.subscriber.reader import Phase
from streamfan.subscriber.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streamfan.errors import ServerError
    from streamfan.events import Event
    from streamfan.redis.address import Address
    from streamfan.redis.connection import Command, Connection
    from streamfan.redis.servers import Servers
    from streamfan.subscriber.channels import Channels
    from streamfan.subscriber.reader import Reader

T = TypeVar("T")
log = logging.getLogger("streamfan.subscriber")

PATIENCE = 60.0
"""Seconds for which a server may be away before those who read are told that would not wait so long by themselves."""

# Streams that are asked about in one go, and entries that are asked for: an answer is in memory as a whole.
_BATCH = 64
_BATCH_ENTRIES = 512
# How often it is found out which streams are to be looked at.
_SCAN = 0.05
# A server that takes longer for an answer was away.
_PROMPT = 1.0


class Watches:
    """All streams that are read; for one thread. Its methods raise a `SinkError` when a connection is lost.

    Args:
        address: The Redis, for people.
        servers: Where the logs are.
        channels: Those that are listened to.
        prefix: What their keys begin with.
    """

    def __init__(self, address: Address, servers: Servers, channels: Channels, prefix: str) -> None:
        self._address = address
        self._servers = servers
        self._channels = channels
        self._prefix = prefix
        self._by_stream: dict[str, Watch] = {}
        self._by_channel: dict[str, Watch] = {}
        # Those with a reader that needs the log now.
        self._busy: set[Watch] = set()
        self._scan_at = 0.0
        # When an answer has come that was long in coming: meanwhile there was no contact.
        self._slow_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._by_stream)

    def __contains__(self, stream: str) -> bool:
        """Whether anybody reads the stream."""
        return stream in self._by_stream

    @property
    def strained(self) -> bool:
        """Whether the connection broke the last time that somebody was read for."""
        return any(reader.strained_since is not None for watch in self._busy for reader in watch.readers)

    @property
    def next_at(self) -> float:
        """When there is something to do, if nothing is heard before, on the monotonic clock."""
        return 0.0 if any(watch.heard for watch in self._busy) else self._scan_at

    # Readers

    def add(self, reader: Reader, patience: float) -> None:
        """Read for `reader`, and wait for `patience` seconds for a stream that is not there."""
        now = monotonic()
        watch = self._by_stream.get(reader.stream)
        if watch is None:
            watch = self._by_stream[reader.stream] = Watch(Names(self._prefix, reader.stream))
            self._by_channel[watch.names.live] = watch
        reader.resume(now + patience)
        watch.add(reader, now)
        self._busy.add(watch)
        self._scan_at = 0.0

    def remove(self, reader: Reader) -> None:
        """Read for `reader` no more."""
        reader.phase = Phase.OVER
        if reader.stream in self._by_stream:
            self._tidy(self._by_stream[reader.stream])

    def make_room(self, reader: Reader) -> None:
        """The mailbox of `reader` was emptied."""
        reader.make_room()
        if reader.stream in self._by_stream:
            self._busy.add(self._by_stream[reader.stream])

    def fail(self, error: BaseException, *, until: float = inf, new: bool = False) -> None:
        """Tell all readers whose patience ends until then, on the monotonic clock; or only those that are `new`."""
        for watch in list(self._by_stream.values()):
            for reader in watch.needs(Phase.SEEKING) if new else watch.readers:
                if reader.patience <= until:
                    reader.fail(error)
            self._tidy(watch)

    def deafen(self) -> None:
        """Every connection is lost."""
        for watch in self._by_stream.values():
            watch.deafen()
        self._busy = set(self._by_stream.values())

    def _tidy(self, watch: Watch) -> None:
        """Forget readers that need nothing any more, and the stream if nobody reads it."""
        watch.readers = [reader for reader in watch.readers if reader.phase is not Phase.OVER]
        if not watch.readers:
            del self._by_stream[watch.names.stream], self._by_channel[watch.names.live]
            self._busy.discard(watch)
            self._channels.ignore(watch.names.live)

    # Channels

    def listen(self) -> None:
        """Ask for the channels of streams that are new here."""
        for watch in self._busy:
            if not watch.asked:
                home = self._servers.home(watch.names.live)
                self._channels.listen(watch.names.live, home, sharded=self._servers.sharded)
                watch.asked = True

    def acknowledged(self, channel: str) -> None:
        """From now on nothing of `channel` is missed."""
        watch = self._by_channel.get(channel)
        if watch is not None:
            watch.heard = True
            self._busy.add(watch)

    def refused(self, channel: str, error: ServerError) -> None:
        """Nobody here may hear `channel`; who may hear another reads on."""
        watch = self._by_channel.get(channel)
        if watch is not None:
            watch.fail(error)
            self._tidy(watch)

    def hear(self, channel: str, data: bytes) -> None:
        """What a channel says."""
        watch = self._by_channel.get(channel)
        event = None if watch is None else _event(data, watch.names.stream)
        if watch is None or event is None:
            return
        if watch.hear(event, monotonic()):
            watch.look_at = 0.0 if watch.needs(Phase.SEEKING) else watch.look_at
            self._scan_at = min(self._scan_at, watch.look_at)
            self._busy.add(watch)
            self._tidy(watch)

    # Logs

    def read(self) -> None:
        """Read a page for each reader that needs one, or find out which attempt there is."""
        now = monotonic()
        turns = [
            (watch, reader)
            for watch in self._busy
            if watch.heard
            for reader in watch.readers
            if reader.phase is Phase.CATCHING_UP or (reader.phase is Phase.SEEKING and watch.look_at <= now)
        ]
        # Last those that may break the connection for all, and of them those that have done so most often.
        turns.sort(key=lambda turn: (turn[1].strained_since is not None, -turn[1].page_length))
        for connection, batch in self._batches(turns, _entries):
            commands = (_question(watch.names, reader) for watch, reader in batch)
            try:
                answers = self._ask(connection, *commands)
            except SinkError as error:
                self._strain([reader for _, reader in batch if reader.phase is Phase.CATCHING_UP], error)
                raise
            for (watch, reader), answer in zip(batch, answers, strict=True):
                self._take(watch, reader, answer)
        for watch in {watch for watch, _ in turns}:
            self._tidy(watch)
        self._busy = {watch for watch in self._busy if not watch.heard or watch.needs(Phase.CATCHING_UP)}

    def _strain(self, readers: Sequence[Reader], error: SinkError) -> None:
        """The connection broke while these were read for; who has met nothing else for long is told."""
        now = monotonic()
        for reader in readers:
            reader.strain(now)
            if reader.strained_since is not None and now >= max(reader.strained_since + PATIENCE, reader.patience):
                reader.fail(told(error))
                self._tidy(self._by_stream[reader.stream])

    def _take(self, watch: Watch, reader: Reader, answer: Any) -> None:
        """What the log says to one reader."""
        if isinstance(answer, SinkError):
            reader.fail(refusal(answer, reader.stream))
            return
        entries = history.entries(answer)
        if reader.phase is Phase.CATCHING_UP:
            last = len(entries) < reader.page_length
            reader.relax(history.page_length(entries) if entries else reader.page_length)
            reader.take_page(entries, last=last)
            return
        if entries:
            reader.found(entries[0][0].attempt)
        if reader.phase is Phase.SEEKING:
            watch.not_found(self._address, monotonic())

    def scan(self, contact: float) -> None:
        """Look at the streams of which nothing was heard for long.

        Args:
            contact: Since when there has been contact with the server without a break, on the monotonic clock.
        """
        now = monotonic()
        if now < self._scan_at:
            return
        due = [watch for watch in self._by_stream.values() if watch.heard and watch.look_at <= now]
        for connection, batch in self._batches([(watch, None) for watch in due]):
            questions = [_look(watch) for watch, _ in batch]
            answers = iter(self._ask(connection, *chain.from_iterable(questions)))
            for (watch, _), asked in zip(batch, questions, strict=True):
                self._see(watch, [next(answers) for _ in asked], max(contact, self._slow_at))
        soonest = min((watch.look_at for watch in self._by_stream.values()), default=now + _SCAN)
        self._scan_at = max(monotonic() + _SCAN, soonest)

    def _see(self, watch: Watch, answers: Sequence[Any], contact: float) -> None:
        if not watch.peeks:
            # A lease that is no string is none that can be read; what else has another type is of more weight.
            answers = (readable(answers[0]), *answers[1:])
        try:
            check(answers, watch.names.stream)
            if watch.peeks:
                found = history.entries(answers[0])
                watch.peek(found[0][0] if found else None, monotonic())
            else:
                watch.look(history.seen(*answers), monotonic(), contact)
        except (ServerRefused, WireError) as error:
            watch.fail(error)
        if watch.needs(Phase.SEEKING):
            watch.look_at = 0.0
        self._busy.add(watch)
        self._tidy(watch)

    def _ask(self, connection: Connection, *commands: Command) -> list[Any]:
        asked = monotonic()
        answers = connection.answers(*commands)
        if monotonic() - asked > _PROMPT:
            self._slow_at = monotonic()
        return answers

    def _batches(
        self, turns: Iterable[tuple[Watch, T]], entries: Callable[[T], int] = lambda _: 1
    ) -> Iterator[tuple[Connection, list[tuple[Watch, T]]]]:
        """The same, by the connection that leads to each log, and for not too many `entries` at once."""
        by_connection: dict[Connection, list[tuple[Watch, T]]] = {}
        for watch, what in turns:
            by_connection.setdefault(self._servers.at(watch.names.log), []).append((watch, what))
        for connection, all_of_it in by_connection.items():
            batch: list[tuple[Watch, T]] = []
            held = 0
            for watch, what in all_of_it:
                count = entries(what)
                if batch and (len(batch) == _BATCH or held + count > _BATCH_ENTRIES):
                    yield connection, batch
                    batch, held = [], 0
                batch.append((watch, what))
                held += count
            if batch:
                yield connection, batch


def _look(watch: Watch) -> tuple[Command, ...]:
    return (history.newest(watch.names),) if watch.peeks else history.look(watch.names)


def _entries(reader: Reader) -> int:
    """How many entries its question asks for; as many as there can be where it had better be asked alone."""
    if reader.strained_since is not None:
        return _BATCH_ENTRIES
    return 1 if reader.phase is Phase.SEEKING else reader.page_length


def _question(names: Names, reader: Reader) -> Command:
    if reader.phase is Phase.SEEKING:
        return history.newest(names)
    return history.page(names, reader.next_id, reader.page_length)


def _event(data: bytes, stream: str) -> Event | None:
    """The event of `stream` that `data` is; None for anything else, for anybody may publish on a channel."""
    try:
        event = decode(data)
    except WireError as error:
        log.debug("the channel of stream %r says something else: %s", stream, error)
        return None
    return event if event.stream == stream else None
