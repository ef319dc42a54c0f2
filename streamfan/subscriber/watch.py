"""One stream that is read in this process: its readers, and what is known of its producer."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from streamfan.errors import ProducerLost, StreamNotFound
from streamfan.subscriber.reader import Phase

if TYPE_CHECKING:
    from streamfan.events import Event
    from streamfan.redis.lease import Lease
    from streamfan.redis.names import EntryId, Names
    from streamfan.subscriber.reader import Reader

# How often a stream is looked at of which nothing is heard, and one that is not there yet.
_QUIET = 2.0
_AWAITED = 0.5
# How often it is found out whether a log has grown whose producer does not publish: from the one, while it grows, to
# the other.
_BRISK = 0.1
_SLOW = 0.8
# A lease's time is the server's; by how much later it is looked at.
_GRACE = 0.1


class Look(NamedTuple):
    """What the server holds of a stream, all of one moment.

    Attributes:
        lease: None where no producer shows that it lives.
        remaining: Seconds until the lease ends.
        lease_time: Seconds that a lease of this stream lasts.
        last: The last entry of its log; None where there is no log.
        ended: Whether that is the stream's end.
    """

    lease: Lease | None
    remaining: float
    lease_time: float
    last: EntryId | None
    ended: bool


class Watch:
    """One stream that is read in this process.

    Attributes:
        readers: Whoever reads it.
        asked: Whether the server was asked to be listened to.
        heard: Whether it has acknowledged that: no event is missed from then on.
        look_at: When to look at it next, on the monotonic clock.
        peeks: Whether it is only to be found out then whether its log has grown.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.readers: list[Reader] = []
        self.asked = False
        self.heard = False
        self.look_at = 0.0
        self.peeks = False
        self._look_whole_at = 0.0
        self._pace = _BRISK
        self._lost_at = 0.0
        # When the lease was seen last.
        self._shown_at = -inf
        # Since when it is seen to that the lease is there.
        self._watched_at = 0.0

    def add(self, reader: Reader, now: float) -> None:
        """Read for one more; a producer that was lost has its time again."""
        self.readers.append(reader)
        self.look_at, self.peeks = 0.0, False
        if self._lost_at <= now:
            self._watched_at = now

    def needs(self, phase: Phase) -> list[Reader]:
        """The readers that are in `phase`."""
        return [reader for reader in self.readers if reader.phase is phase]

    def hear(self, event: Event, now: float) -> bool:
        """What its channel says; whether a reader now needs the log."""
        needy = moved = False
        for reader in self.readers:
            before = reader.position.offset
            reader.hear(event)
            moved = moved or reader.position.offset != before
            needy = needy or reader.phase is not Phase.LIVE
        # What is no news is no sign of life either.
        if moved:
            self.look_at = now + _QUIET
        return needy

    def deafen(self) -> None:
        """The connection is lost: nothing is listened to, and something may be missed."""
        self.asked = self.heard = False
        for reader in self.readers:
            reader.reconsider()

    def not_found(self, where: object, now: float) -> None:
        """There is no log, or no such attempt in it; those whose patience is over are told."""
        self.look_at = now + _AWAITED
        for reader in self.needs(Phase.SEEKING):
            if now >= reader.patience:
                attempt = reader.position.attempt
                what = f"attempt {attempt} at stream" if attempt else "stream"
                said = f"there is no {what} {reader.stream!r} in Redis at {where}"
                reader.fail(StreamNotFound(said, stream=reader.stream))

    def look(self, seen: Look, now: float, contact: float) -> None:
        """What was seen when it was looked at.

        Args:
            now: The monotonic clock.
            contact: Since when there has been contact with the server without a break, on the same clock.
        """
        self.look_at, self.peeks = now + _QUIET, False
        self._compare(seen.last, ended=seen.ended)
        if seen.lease is not None:
            self._lost_at, self._shown_at = now + seen.remaining, now
            self._look_before(self._lost_at + _GRACE)
        elif not seen.ended or self.needs(Phase.LIVE):
            # Who is still live where the log has ended has read a later attempt than this server knows of.
            since = max(contact, self._watched_at)
            if since > self._shown_at:
                # A server that was away may have lost the lease, and its producer needs as long as we do to be back.
                self._lost_at = max(self._lost_at, since + seen.lease_time)
            if now < self._lost_at or self.needs(Phase.CATCHING_UP):
                self._look_before(max(self._lost_at, now) + _GRACE)
            else:
                self._lose(seen)
        if seen.lease is not None and not seen.lease.live:
            self._look_whole_at = self.look_at
            self._peek(now)

    def peek(self, last: EntryId | None, now: float) -> None:
        """The last entry of its log, where only that was looked at."""
        self._pace = min(2 * self._pace, _SLOW)
        self._compare(last, ended=False)
        self._peek(now)

    def fail(self, error: BaseException) -> None:
        """Tell every reader."""
        for reader in self.readers:
            reader.fail(error)

    def _compare(self, last: EntryId | None, *, ended: bool) -> None:
        before = self.needs(Phase.LIVE)
        for reader in before:
            if last is not None:
                reader.compare(last, ended=ended)
        if len(self.needs(Phase.LIVE)) < len(before):
            self._pace = _BRISK

    def _look_before(self, time: float) -> None:
        self.look_at = min(self.look_at, time)

    def _peek(self, now: float) -> None:
        self.peeks = now + self._pace < self._look_whole_at
        self.look_at = min(now + self._pace, self._look_whole_at)

    def _lose(self, seen: Look) -> None:
        for reader in self.needs(Phase.LIVE):
            offset = reader.position.offset
            reader.fail(
                ProducerLost(reader.stream, offset, seen.lease_time)
                if seen.last is not None
                else StreamNotFound(
                    f"stream {reader.stream!r} has vanished after {offset:,} bytes", stream=reader.stream
                )
            )
