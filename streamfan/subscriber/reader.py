"""One subscriber's reading of one stream: where it is, what it needs next, and what it has for the subscriber."""

from __future__ import annotations

from copy import copy
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from streamfan.errors import Restarted, StreamError, TextAltered, WireError
from streamfan.events import End, decode
from streamfan.redis.entries import id_of
from streamfan.redis.names import EntryId
from streamfan.subscriber.position import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.events import Event
    from streamfan.subscriber.mailbox import Mailbox


# How large the entries are is not known yet.
_FIRST_PAGE = 16


class Phase(Enum):
    """What a reader needs next."""

    SEEKING = "to know which attempt there is"
    CATCHING_UP = "the next page of the log"
    LIVE = "what the channel says"
    PAUSED = "room in its mailbox"
    OVER = "nothing"


class Reader:
    """One subscriber's reading of one stream; for the thread that reads.

    Args:
        stream: The stream's id.
        offset: UTF-8 bytes that the subscriber has already.
        mailbox: Where events go, and the error that ends this reading.
        attempt: The attempt that is meant; 0 for the newest.

    Attributes:
        patience: Until when a stream that is not there yet is waited for, on the monotonic clock.
        page_length: How many entries of the log to ask for at once.
        strained_since: Since when every page that was asked for has broken the connection; None where the last has not.
    """

    def __init__(self, stream: str, offset: int, mailbox: Mailbox, attempt: int = 0) -> None:
        self.stream = stream
        self.mailbox = mailbox
        self.phase = Phase.OVER
        self.patience = 0.0
        self.page_length = _FIRST_PAGE
        self.strained_since: float | None = None
        # Entries that a server is trusted to send in one answer.
        self._trusted: float = inf
        self.position = Position(stream, offset, attempt)
        self._sought = False
        # The last entry of the log that was read to its end.
        self._read = EntryId(0, 0)

    def resume(self, patience: float) -> None:
        """Begin to read, or go on after an error."""
        self.patience = patience
        self.phase = Phase.CATCHING_UP if self._sought else Phase.SEEKING

    def reconsider(self) -> None:
        """What the channel says can not be relied on: the log has to be read first."""
        if self.phase is Phase.LIVE:
            self.phase = Phase.CATCHING_UP

    def make_room(self) -> None:
        """The mailbox was emptied."""
        if self.phase is Phase.PAUSED:
            self.phase = Phase.CATCHING_UP

    def found(self, attempt: int) -> None:
        """The log has `attempt` as its newest; where a later one is meant, that is not there yet."""
        meant = self.position.attempt
        if attempt < meant:
            return
        self._sought = True
        if meant and attempt > meant:
            self._restart(attempt)
            return
        if not meant:
            self.position.begin(attempt)
        self.phase = Phase.CATCHING_UP

    def strain(self, now: float) -> None:
        """The connection broke over a page: it may be more than the server sends, so ask for half of it."""
        self.page_length = max(1, self.page_length // 2)
        self._trusted = self.page_length
        self.strained_since = now if self.strained_since is None else self.strained_since

    def relax(self, page_length: int) -> None:
        """A page has come, and the next one had better be so long, or as long as the server is trusted to send."""
        self.strained_since = None
        self._trusted += 1
        self.page_length = int(min(page_length, self._trusted))

    @property
    def next_id(self) -> str:
        """From where in the log on it has not read, as XRANGE takes it."""
        # An entry that brought nothing new is not to be read for ever.
        after = self.position.started or self._read >= self._place
        return f"{'(' if after else ''}{max(self._place, self._read)}"

    @property
    def _place(self) -> EntryId:
        return EntryId(self.position.attempt, self.position.offset)

    def take_page(self, entries: Sequence[tuple[EntryId, bytes]], *, last: bool) -> None:
        """What the log holds from `next_id` on; `last` where it holds no more now."""
        for id, data in entries:
            if self.mailbox.full:
                # What is left of the page is read again; a page may be many times as much as there is room for.
                break
            if id.attempt > self.position.attempt:
                self._restart(id.attempt)
            elif self.phase is Phase.CATCHING_UP:
                self._give_decoded(id, data)
            if self.phase is Phase.OVER:
                return
            self._read = id
        if self.mailbox.full:
            self.phase = Phase.PAUSED
        elif last:
            self.phase = Phase.LIVE

    def hear(self, event: Event) -> None:
        """What the channel says."""
        if self.phase is Phase.SEEKING or self.phase is Phase.OVER:
            return
        position = self.position
        if event.attempt < position.attempt or self.phase is not Phase.LIVE:
            return
        if self.mailbox.full:
            self.phase = Phase.PAUSED
        elif event.attempt > position.attempt or not position.follows(event):
            # Something was missed, or a channel that anybody may publish on tells tales: the log knows.
            self.phase = Phase.CATCHING_UP
        else:
            self._believe(event)

    def compare(self, last: EntryId, *, ended: bool) -> None:
        """The log ends with `last`, for good where it has `ended`: notice what this was not told."""
        position = self.position
        if self.phase is not Phase.LIVE:
            return
        if last > max(self._place, self._read):
            self.phase = Phase.CATCHING_UP
        elif ended and last.attempt == position.attempt:
            self.fail(
                TextAltered(
                    f"stream {self.stream!r} has ended after {last.sequence - 1:,} bytes, "
                    f"so byte {position.offset:,} is of another text",
                    stream=self.stream,
                )
            )

    def fail(self, error: BaseException) -> None:
        """End this reading; everything before it in the mailbox stays."""
        if self.phase is not Phase.OVER:
            self.phase = Phase.OVER
            # A copy: the same may be told to many, each in its own thread.
            self.mailbox.put(copy(error))

    def _restart(self, attempt: int) -> None:
        error = Restarted(self.stream, self.position.attempt, attempt)
        self.position.begin(attempt)
        self.fail(error)

    def _believe(self, event: Event) -> None:
        try:
            self._give(event)
        except (StreamError, WireError):
            # It may be a tale as well; if it is not, the log says the same.
            self.phase = Phase.CATCHING_UP

    def _give_decoded(self, id: EntryId, data: bytes) -> None:
        try:
            event = decode(data)
            if id != id_of(event):
                raise WireError(f"stream {self.stream!r}: entry {id} of its log is a {event.type} of {id_of(event)}")
            self._give(event)
        except (StreamError, WireError) as error:
            self.fail(error)

    def _give(self, event: Event) -> None:
        fresh = self.position.advance(event)
        if isinstance(fresh, End):
            self.phase = Phase.OVER
        if fresh is not None:
            self.mailbox.put(fresh)
