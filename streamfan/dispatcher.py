"""The one clock of a fan: it wakes whoever wants the text that has been written.

A publisher leaves a note and goes on; it wakes the dispatcher only if somebody wants the text sooner than that would
look anyway, or else that somebody, if it is the only one. So it wakes two threads at most, and what it pays does
not depend on how many lanes and readers there are. While text flows a lane looks for it by itself, and nobody is woken.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from streamfan.brake import Brake
from streamfan.forks import leave_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("streamfan.dispatcher")

# However quiet it is, calls that do not return are noticed within this time.
_LONGEST_SLEEP = 1.0
# And what piles up behind them, while text flows, within this.
_GUARD = 0.1
# Nobody can tell apart what comes faster than this.
_REST = 0.001
# Ringing for each piece would cost its publisher more than writing it. So where news follows news within `_FAST` for
# somebody who wants it at once, the dispatcher looks every `_REST`, until nothing has come for `_CALM`.
_FAST = 0.002
_CALM = 0.005


class Bell:
    """Wakes one thread; ringing twice is ringing once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # A bare lock, held while the bell is silent: an Event costs its ringer several times as much.
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one to wait."""
        if self._lock.locked():
            # Somebody else may ring in between; then there is nothing left to do.
            with suppress(RuntimeError):
                self._lock.release()

    def wait(self, timeout: float = inf) -> bool:
        """Wait for the bell, `timeout` seconds at most; False if it did not ring."""
        return self._lock.acquire(timeout=-1 if timeout > threading.TIMEOUT_MAX else max(0.0, timeout))


class Consumer(Protocol):
    """Who is woken for all streams: a lane."""

    @property
    def linger(self) -> float:
        """Seconds that text may wait for more."""

    @property
    def attentive(self) -> bool:
        """Whether it looks for text by itself, so that nobody need wake it; where it stops, it calls `attend`."""

    @property
    def check_at(self) -> float:
        """When it wants to be checked next at the latest, on the monotonic clock."""

    def wake(self) -> None:
        """Look for work; returns at once."""

    def check(self) -> None:
        """Notice what only time tells; returns at once."""


@dataclass(slots=True, eq=False)
class _Slot:
    consumer: Consumer
    due: float = inf


class Dispatcher:
    """Wakes consumers when their linger is over, and makes the calls that a publisher has no time for.

    Attributes:
        brake: What makes publishers wait, where a consumer wants it so.
    """

    def __init__(self) -> None:
        self.brake = Brake()
        self._bell = Bell()
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []
        self._calls: deque[Sequence[Callable[[], object]]] = deque()
        self._process = os.getpid()
        self._news = False
        self._urgent = False
        self._stopped = False
        # Who waits least, if nobody waits as little. How long whoever is to be woken waits, and the others of them.
        self._first: Consumer | None = None
        self._eager = inf
        self._patient = inf
        self._next_look = inf
        self._noted = -inf
        # When the first of the news came that it has not looked at.
        self._news_at = -inf
        self._last_news = -inf
        self._fast = False
        # daemon: a program that forgets to close its fan must be able to exit.
        self._thread = threading.Thread(target=self._run, name="streamfan-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Look once more, then end the thread; returns when it has ended."""
        self._stopped = True
        self._bell.ring()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def add(self, consumer: Consumer) -> None:
        """Wake `consumer` for news from now on."""
        with self._lock:
            self._slots = [*self._slots, _Slot(consumer)]
            self._weigh()
        self.notify(urgent=True)

    def remove(self, consumer: Consumer) -> None:
        """Forget `consumer`."""
        with self._lock:
            self._slots = [slot for slot in self._slots if slot.consumer is not consumer]
            self._weigh()

    def call_soon(self, *callbacks: Callable[[], object]) -> None:
        """Have `callbacks` called by the dispatcher's thread, in order; each must return at once, and not raise."""
        self._calls.append(callbacks)
        self._bell.ring()

    def attend(self) -> None:
        """A consumer that looked for text by itself does so no more."""
        self._bell.ring()

    def notify(self, urgent: bool = False) -> None:
        """Say that some stream has news; this is all that a publisher pays for its consumers.

        Args:
            urgent: Nobody is to wait for more: a stream's first text, or its end.
        """
        now = monotonic()
        if not self._news:
            self._news_at = now
        self._news = True
        before, self._noted = self._noted, now
        first = self._first
        if urgent:
            self._urgent = True
            self._bell.ring()
        elif first is None or now - before < _FAST:
            if now + self._eager < self._next_look:
                self._bell.ring()
        else:
            first.wake()
            if now + self._patient < self._next_look:
                self._bell.ring()

    def _run(self) -> None:
        # Without this thread nobody would let go of the brake.
        self.brake.exempt()
        while not self._stopped:
            # While it is awake it will look again, so nobody needs to ring.
            self._next_look = 0.0
            next_look = self._look()
            # Said before the notes are read again: whoever writes one after that sees it, and rings.
            self._next_look = next_look
            now = monotonic()
            if self._calls or self._urgent or (self._news and now + self._eager < next_look):
                continue
            self._bell.wait(next_look - now)
        self._look()

    def _look(self) -> float:
        """Wake whoever is due, and say when to look again."""
        urgent, self._urgent = self._urgent, False
        news, self._news = self._news, False
        now = monotonic()
        eager = patient = inf
        next_look = now + self._pause(news, now)
        for slot in self._slots:
            consumer = slot.consumer
            if news and slot.due == inf:
                slot.due = self._news_at + consumer.linger
            if urgent or slot.due <= now:
                slot.due = inf
                self._call(consumer.wake)
            if not consumer.attentive:
                next_look = min(next_look, slot.due)
                eager = min(eager, consumer.linger)
                if consumer is not self._first:
                    patient = min(patient, consumer.linger)
            # It may log, and what a log's handler does is nobody's to say.
            self._call(consumer.check)
            next_look = min(next_look, consumer.check_at)
        # Nobody is rung for who is about to look anyway.
        self._eager, self._patient = max(_REST, eager), max(_REST, patient)
        while self._calls:
            for callback in self._calls.popleft():
                self._call(callback)
        return next_look

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except BaseException as error:  # foreign code: without this thread every reader would wait for ever
            leave_child(self._process, error)
            with suppress(Exception):
                log.exception("a callback failed: %r", callback)
        else:
            leave_child(self._process)

    def _pause(self, news: bool, now: float) -> float:
        """How long to sleep at most."""
        if news:
            self._fast = self._eager <= _REST and now - self._last_news < (_CALM if self._fast else _FAST)
            self._last_news = now
        if self._fast and now - self._last_news < _CALM:
            return _REST
        return min(_GUARD, _LONGEST_SLEEP) if news else _LONGEST_SLEEP

    def _weigh(self) -> None:
        slots = sorted(self._slots, key=lambda slot: slot.consumer.linger)
        lingers = [*(slot.consumer.linger for slot in slots), inf, inf]
        self._first = slots[0].consumer if lingers[0] <= _REST < lingers[1] else None
        self._eager, self._patient = max(_REST, lingers[0]), max(_REST, lingers[1])
