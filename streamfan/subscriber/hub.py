"""The one thread of this process that reads from a Redis, for however many subscriptions.

It has one connection that hears channels and one that reads logs, to each server that there is.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import traceback
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import Retryable, SinkError, StreamfanError
from streamfan.redis.control import CancelRequest
from streamfan.redis.errors import sorted_error
from streamfan.redis.names import Names
from streamfan.redis.servers import Servers
from streamfan.retry import Backoff
from streamfan.subscriber.channels import Channels
from streamfan.subscriber.discovery import Discovery
from streamfan.subscriber.faults import told
from streamfan.subscriber.stopping import Stop, ask, ask_again
from streamfan.subscriber.watches import PATIENCE, Watches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamfan.redis.address import Address
    from streamfan.subscriber.arrivals import Arrivals
    from streamfan.subscriber.reader import Reader

log = logging.getLogger("streamfan.subscriber")

# How long the thread stays when there is nothing to read.
_IDLE = 2.0
_LONGEST_SLEEP = 1.0
# A server that takes longer to fail is silent, and is not asked once more.
_PROMPT = 1.0
# Whoever comes round no sooner did not run: it was stopped, or the machine was asleep, and others maybe too.
_LONGEST_TURN = _LONGEST_SLEEP + 1.0
# So many failures in a row are more than a connection that was cut: they are told, once.
_AWAY = 2
# Nobody is read for while an answer is waited for, of a cluster as little as of the one server that is silent.
_TIMEOUT = 2.0


class Hub:
    """Reads from the server at `address`, or from its cluster, what begins with `prefix`.

    What subscriptions call returns at once, and may be called from any thread.

    Args:
        leave: Asked, on the hub's thread, when there was nothing to read for a while; True ends the thread.

    Raises:
        ServerUnreachable: This process has too many files open.
    """

    def __init__(self, address: Address, prefix: str, leave: Callable[[Hub], bool]) -> None:
        self._address = address
        self._prefix = prefix
        self._leave = leave
        self._servers = Servers(address, timeout=_TIMEOUT)
        self._channels = Channels()
        self._watches = Watches(address, self._servers, self._channels, prefix)
        self._discovery = Discovery(self._servers, self._channels, prefix)
        self._orders: deque[Callable[[], object]] = deque()
        self._stops: deque[tuple[str, Stop, Future[bool]]] = deque()
        # Those that were left, of streams that are read: a server that comes back without one is given it again.
        self._requests: dict[str, CancelRequest] = {}
        try:
            self._alarm, self._ringer = socket.socketpair()
        except OSError as error:
            raise told(sorted_error(error, address)) from None
        for end in (self._alarm, self._ringer):
            end.setblocking(False)
        # Since when there has been contact without a break; None while there is none.
        self._contact: float | None = None
        self._turned_at = 0.0
        # Until when those are not told that would not wait: a wrong address is told at once.
        self._bearable = 0.0
        self._next_try = 0.0
        self._backoff = Backoff(inf)
        self._idle_since = inf
        # daemon: a subscription that nobody closes must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="streamfan-subscriber", daemon=True)
        self._thread.start()

    # What subscriptions call

    def read(self, reader: Reader, patience: float) -> None:
        """Read for `reader` until it has its end or its error; wait for `patience` seconds for its stream."""
        self._order(lambda: self._watches.add(reader, patience))

    def leave(self, reader: Reader) -> None:
        """Read for `reader` no more."""
        self._order(lambda: self._watches.remove(reader))

    def make_room(self, reader: Reader) -> None:
        """The mailbox of `reader` was emptied."""
        self._order(lambda: self._watches.make_room(reader))

    def attend(self, arrivals: Arrivals, patience: float) -> None:
        """Tell `arrivals` of every stream that begins from now on; wait for `patience` seconds for a server."""
        self._order(lambda: self._discovery.add(arrivals, patience))

    def dismiss(self, arrivals: Arrivals) -> None:
        """Tell `arrivals` no more."""
        self._order(lambda: self._discovery.remove(arrivals))

    def stop(self, stream: str, stop: Stop) -> Future[bool]:
        """Ask the producer of `stream` to stop; the future says whether the request was left, or it has ended."""
        future: Future[bool] = Future()
        self._order(lambda: self._stops.append((stream, stop, future)))
        return future

    @property
    def has_orders(self) -> bool:
        """Whether there is something that the thread has not heard of yet."""
        return bool(self._orders)

    def _order(self, order: Callable[[], object]) -> None:
        # No lock: the garbage collector calls `leave` wherever it happens to be at work.
        self._orders.append(order)
        with suppress(OSError):
            self._ringer.send(b"!")

    # What happens on the hub's thread

    def _run(self) -> None:
        while not self._may_end():
            try:
                self._turn()
            except SinkError as error:
                self._lost(error)
            except StreamfanError as error:
                # A URL that cannot be used, which no other try changes.
                self._hang_up()
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - a fault of this package: nobody is to wait for ever because of it
                # Only its type and its place: what it holds may be anything, also a password.
                said = f"reading from Redis at {self._address} failed: {type(error).__name__}"
                log.error("%s", said)  # noqa: TRY400 - see above
                log.debug("that was at %s", _place(error))
                self._hang_up()
                self._give_up(StreamfanError(said))
        self._hang_up()
        for end in (self._alarm, self._ringer):
            end.close()

    @property
    def _idle(self) -> bool:
        return not (self._watches or self._discovery or self._stops or self._orders)

    def _may_end(self) -> bool:
        self._idle_since = min(self._idle_since, monotonic()) if self._idle else inf
        return monotonic() >= self._idle_since + _IDLE and self._leave(self)

    def _turn(self) -> None:
        while self._orders:
            self._orders.popleft()()
        now = monotonic()
        if now < self._next_try or self._idle:
            self._sleep(self._next_try - now if now < self._next_try else _IDLE)
            return
        contact = self._reach()
        self._ask()
        self._watches.listen()
        self._watches.read()
        self._watches.scan(contact)
        self._discovery.poll()
        # A turn that went well: the server is there.
        if not self._watches.strained:
            self._backoff.reset()
        self._bearable = monotonic() + PATIENCE
        self._sleep(self._pause(), self._channels.descriptors)
        self._hear()

    def _reach(self) -> float:
        if self._contact is None:
            self._servers.at(Names(self._prefix, "").log)
            self._ask_again()
            self._contact = monotonic()
            self._bearable = self._bearable or self._contact + PATIENCE
        now = monotonic()
        if now > self._turned_at + _LONGEST_TURN:
            self._contact = now
        self._turned_at = now
        return self._contact

    def _pause(self) -> float:
        # What was left unread may be where no poll sees it any more.
        if self._channels.buffered:
            return 0.0
        return min(self._watches.next_at, self._discovery.next_at) - monotonic()

    def _sleep(self, seconds: float, descriptors: Sequence[int] = ()) -> None:
        """Until something comes, an order or by one of `descriptors`, or the time is over."""
        waiting = select.poll()
        for descriptor in (self._alarm.fileno(), *descriptors):
            waiting.register(descriptor, select.POLLIN)
        ready = waiting.poll(max(0.0, min(seconds, _LONGEST_SLEEP)) * 1000)
        if any(descriptor == self._alarm.fileno() for descriptor, _ in ready):
            self._alarm.recv(4096)

    def _hear(self) -> None:
        for heard in self._channels.messages():
            if heard.kind == "message":
                self._watches.hear(heard.channel, heard.data)
                self._discovery.hear(heard.channel, heard.data)
            elif heard.kind == "subscribed":
                self._watches.acknowledged(heard.channel)
                self._discovery.acknowledged(heard.channel)
            elif heard.error is not None:
                refusal = told(heard.error)
                self._watches.refused(heard.channel, refusal)
                self._discovery.refused(heard.channel, refusal)
            elif heard.kind == "moved":
                raise Retryable(f"Redis at {self._address}: channel {heard.channel!r} is at another server now")
        self._channels.check()

    def _ask(self) -> None:
        """Leave the requests to stop; where the server is lost by one, the others are not tried."""
        while self._stops:
            stream, stop, future = self._stops[0]
            if not future.cancelled():
                outcome = self._left(Names(self._prefix, stream), stop)
                if isinstance(outcome, CancelRequest):
                    self._forget_requests()
                    self._requests[stream] = outcome
                _settle(future, outcome if isinstance(outcome, StreamfanError) else outcome is not None)
            self._stops.popleft()

    def _ask_again(self) -> None:
        self._forget_requests()
        for stream, request in self._requests.items():
            names = Names(self._prefix, stream)
            ask_again(self._servers.at(names.cancel), names, request)

    def _forget_requests(self) -> None:
        """Nobody waits for what comes of those to streams that are not read, or not any more."""
        self._requests = {stream: request for stream, request in self._requests.items() if stream in self._watches}

    def _left(self, names: Names, stop: Stop, *, again: bool = True) -> StreamfanError | CancelRequest | None:
        """Leave a request to stop: the request, None where there was nobody to ask, or what it has met."""
        asked = monotonic()
        connection = self._servers.at(names.log)
        try:
            return ask(connection, names, stop)
        except SinkError as error:
            if connection.alive:
                return told(error)
            if not again or monotonic() > asked + _PROMPT:
                raise
            # It may have been cut long ago, while nobody used it.
            return self._left(names, stop, again=False)
        except StreamfanError as error:
            return error

    # When the server is away

    def _lost(self, error: SinkError) -> None:
        # A connection that is cut tells nothing of the server; one that cannot be made does.
        there = self._contact is not None
        self._hang_up()
        self._watches.deafen()
        self._discovery.deafen()
        log.debug("Redis at %s is lost: %s", self._address, error)
        now = monotonic()
        self._next_try = self._backoff.next_try(error, now, inf) or 0.0
        if not self._next_try:
            self._give_up(told(error))
            return
        if self._backoff.failures == _AWAY:
            log.warning("%s; trying again", error)
        self._refuse(told(error))
        if now >= self._bearable or not there:
            # Those who have had nothing yet do not bear what others do.
            new = now < self._bearable
            self._watches.fail(told(error), until=now, new=new)
            self._discovery.fail(told(error), until=now, new=new)

    def _give_up(self, error: StreamfanError) -> None:
        self._refuse(error)
        self._watches.fail(error)
        self._discovery.fail(error)
        self._backoff.reset()

    def _refuse(self, error: StreamfanError) -> None:
        """Tell all who ask for a stop."""
        while self._stops:
            _, _, future = self._stops.popleft()
            _settle(future, copy(error))

    def _hang_up(self) -> None:
        self._contact = None
        self._channels.close()
        self._servers.close()


def _place(error: BaseException) -> str:
    """Where an error was raised, the outermost first, without the lines of code."""
    frames = traceback.extract_tb(error.__traceback__)
    return ", ".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


def _settle(future: Future[bool], outcome: StreamfanError | bool) -> None:
    # Whoever waits for it may have given up.
    if future.set_running_or_notify_cancel():
        if isinstance(outcome, StreamfanError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
