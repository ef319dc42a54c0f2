"""The reading of one stream, as whoever consumes it sees it: text or events, and the errors between."""

from __future__ import annotations

import os
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamfan.errors import StreamFailed, UsageError
from streamfan.events import End, Start, Text, check_stream_id
from streamfan.redis.names import has_no_utf8
from streamfan.subscriber import hubs
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Reader
from streamfan.subscriber.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from streamfan.events import Event
    from streamfan.redis.address import Address
    from streamfan.subscriber.hub import Hub

# Every number in the protocol is at most this.
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a subscriber wants, of whatever stream.

    Attributes:
        address: The Redis.
        prefix: What the keys there begin with.
        events: Whether events are wanted, and not text.
        wait: Seconds to wait for a stream that is not there.
        token: What a producer may ask for before it stops.
    """

    address: Address
    prefix: str
    events: bool
    wait: float
    token: str | None = field(repr=False)


class Reading:
    """The reading of one stream; for one consumer.

    Args:
        wanted: What is wanted of it.
        stream: The stream's id.
        offset: UTF-8 bytes of its text to leave out.
        attempt: The attempt that is meant; 0 for the newest.
        news: Called, from another thread, when `take` has something; must not lead back here.

    Attributes:
        stream: The stream's id.
        attempt: The attempt that is meant, or of which something was given; 0 before that.
        info: The start event; None before there is one, and where it was left out or trimmed.
        outcome: The end event; None before there is one.
        offset: UTF-8 bytes of the text that were given, or left out.
        over: Whether there is nothing more to come.

    Raises:
        UsageError: A malformed id, or a number that is negative or of more than 53 bits.
    """

    def __init__(self, wanted: Wanted, stream: str, offset: int, attempt: int, news: Callable[[], object]) -> None:
        check_stream_id(stream)
        if not 0 <= attempt <= _LARGEST:
            raise UsageError(f"attempt {attempt} is none, expected the number of one, or 0 for the newest")
        if not 0 <= offset <= _LARGEST:
            raise UsageError(f"offset {offset} is none, expected UTF-8 bytes from the start of the text")
        self.info: Start | None = None
        self.outcome: End | None = None
        self.stream = stream
        self.attempt = attempt
        self.offset = offset
        self.over = False
        self._wanted = wanted
        self._process = os.getpid()
        self._mailbox = Mailbox(news)
        self._reader = Reader(stream, offset, self._mailbox, attempt)
        self._items: deque[Event | BaseException] = deque()
        self._hub: Hub | None = None
        self._reads = False
        self._leave: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Have the stream read, if it is not; again after an error."""
        check_process(self._process)
        if not self._reads and not self.over:
            reader, wanted = self._reader, self._wanted
            self._hub, _ = hubs.use(wanted.address, wanted.prefix, lambda hub: hub.read(reader, wanted.wait))
            self._reads = True
            leave = weakref.finalize(self, self._hub.leave, reader)
            leave.atexit = False
            self._leave = leave

    def take(self) -> str | Event | None:
        """The next text, all that there is of it, or the next event; None if there is none yet, or no more (`over`).

        Raises:
            StreamError: What has become of the stream; `begin` takes the reading up again.
            WireError: It holds something else than events.
            ServerError: What has become of the server; likewise.
            UsageError: This is a child of the process that subscribed.
        """
        # First: in a child of fork() the mailbox may be locked for ever.
        check_process(self._process)
        if self.over:
            return None
        if not self._items:
            items, was_full = self._mailbox.take()
            self._items.extend(items)
            if was_full and self._hub is not None:
                self._hub.make_room(self._reader)
        return self._next_event() if self._wanted.events else self._next_text()

    def close(self) -> None:
        """Read no more; whoever produces the stream does not notice."""
        self.over = True
        self._leave()

    def cancel(self, reason: str, by: str) -> Future[bool]:
        """Ask the producer to stop.

        Raises:
            UsageError: The request could not be written down.
        """
        if has_no_utf8(f"{reason}{by}"):
            raise UsageError("the reason to stop, or the name of who asks, is no UTF-8")
        wanted, stop = self._wanted, Stop(self.attempt, reason, by, self._wanted.token)
        return hubs.use(wanted.address, wanted.prefix, lambda hub: hub.stop(self.stream, stop))[1]

    def _next_event(self) -> Event | None:
        if not self._items:
            return None
        event = self._pop()
        if isinstance(event, End):
            self.over = True
        return event

    def _next_text(self) -> str | None:
        pieces: list[str] = []
        while self._items and not (pieces and not isinstance(self._items[0], Text)):
            event = self._pop()
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, End):
                self.over = True
                if event.finish_reason == "error":
                    fault = event.error
                    raise StreamFailed(self.stream, *((fault.type, fault.message) if fault else ("Error", "")))
        return "".join(pieces) or None

    def _pop(self) -> Event:
        item = self._items.popleft()
        if isinstance(item, BaseException):
            self._leave()
            self._reads = False
            # Nothing is read on after an error, so this is where what was given ends.
            self.offset, self.attempt = self._reader.position.offset, self._reader.position.attempt
            raise item
        self.attempt = item.attempt
        if isinstance(item, Text):
            self.offset = item.end
        elif isinstance(item, Start):
            self.info = item
        elif isinstance(item, End):
            self.outcome = item
            self._leave()
        return item


def check_process(process: int) -> None:
    """Refuse whoever is not `process`: a child has no thread that reads."""
    if process != os.getpid():
        raise UsageError("this subscription belongs to the parent process\nTry: subscribe after the fork")
