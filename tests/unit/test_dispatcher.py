"""The fan's one clock: who is woken, when, and what a publisher pays for it."""

from __future__ import annotations

import threading
from math import inf

import pytest

from streamfan.dispatcher import Bell, Dispatcher, _Slot
from tests.support.sinks import wait_for
from tests.support.streams import dispatching


class Sleeper:
    """A consumer that remembers being woken."""

    def __init__(self, linger: float) -> None:
        self.linger = linger
        self.check_at = inf
        self.attentive = False
        self.woken = threading.Event()

    def wake(self) -> None:
        self.woken.set()

    def check(self) -> None:
        pass


class CountingBell(Bell):
    """Counts its ringing."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = 0

    def ring(self) -> None:
        self.rung += 1
        super().ring()


def test_ringing_twice_wakes_once() -> None:
    bell = Bell()

    bell.ring()
    bell.ring()

    assert (bell.wait(0), bell.wait(0)) == (True, False)


def test_news_wakes_a_consumer_without_linger() -> None:
    with dispatching() as dispatcher:
        sleeper = Sleeper(0.0)
        dispatcher.add(sleeper)
        wait_for(sleeper.woken)
        sleeper.woken.clear()

        dispatcher.notify()

        wait_for(sleeper.woken)


def test_urgent_news_does_not_wait_for_the_linger() -> None:
    with dispatching() as dispatcher:
        sleeper = Sleeper(3600.0)
        dispatcher.add(sleeper)
        wait_for(sleeper.woken)
        sleeper.woken.clear()

        dispatcher.notify(urgent=True)

        wait_for(sleeper.woken)


def test_publisher_rings_only_if_somebody_wants_the_text_before_the_next_look() -> None:
    dispatcher = Dispatcher()  # not started, so nothing but this test looks
    dispatcher._bell = bell = CountingBell()
    dispatcher.add(Sleeper(10.0))
    bell.rung = 0
    dispatcher._next_look = dispatcher._look()

    for _ in range(100):
        dispatcher.notify()

    assert bell.rung == 0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_publisher_of_fast_news_does_not_ring_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    dispatcher._bell = bell = CountingBell()
    dispatcher.add(Sleeper(0.0))
    dispatcher._next_look = dispatcher._look()
    bell.rung = 0

    for _ in range(100):
        clock.now += 0.0011
        if clock.now >= dispatcher._next_look:
            dispatcher._next_look = dispatcher._look()
        dispatcher.notify()
        if bell.wait(0):
            dispatcher._next_look = dispatcher._look()

    assert bell.rung <= 2
    for _ in range(2):
        clock.now += 0.1
        dispatcher._next_look = dispatcher._look()
    assert dispatcher._next_look - clock.now == 1.0, "nobody looks for nothing"


def test_fast_news_is_looked_at_no_more_often_than_somebody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    dispatcher._bell = bell = CountingBell()
    sleeper = Sleeper(0.01)
    dispatcher.add(sleeper)
    dispatcher._next_look = dispatcher._look()
    bell.rung = looks = woken = 0

    for _ in range(1000):
        clock.now += 0.001
        dispatcher.notify()
        if bell.wait(0) or clock.now >= dispatcher._next_look:
            dispatcher._next_look = dispatcher._look()
            looks += 1
            woken += sleeper.woken.is_set()
            sleeper.woken.clear()

    assert 80 <= woken <= 101
    assert looks <= 2 * woken + 1
    assert bell.rung <= woken + 1


def test_nobody_rings_for_whoever_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    dispatcher._bell = bell = CountingBell()
    sleepers = [Sleeper(0.01), Sleeper(0.05)]
    for sleeper in sleepers:
        sleeper.attentive = True
        dispatcher.add(sleeper)
    dispatcher._next_look = dispatcher._look()
    bell.rung = 0

    for _ in range(500):
        clock.now += 0.001
        dispatcher.notify()

    assert bell.rung == 0


def test_whoever_stops_to_look_is_woken_for_what_came_before_it_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    dispatcher._bell = bell = CountingBell()
    sleeper = Sleeper(0.01)
    sleeper.attentive = True
    dispatcher.add(sleeper)
    dispatcher._look()
    dispatcher._bell.wait(0)
    sleeper.woken.clear()
    dispatcher.notify()
    dispatcher._look()

    sleeper.attentive = False
    dispatcher.attend()

    assert bell.wait(0)
    assert dispatcher._look() <= clock.now + 0.01
    clock.now += 0.01
    dispatcher._look()
    assert sleeper.woken.is_set()


def test_text_that_flows_waits_no_longer_than_its_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    dispatcher._bell = bell = CountingBell()
    sleepers = [Sleeper(0.0), Sleeper(0.01), Sleeper(0.05)]
    for sleeper in sleepers:
        dispatcher.add(sleeper)
    dispatcher._next_look = dispatcher._look()
    oldest: dict[Sleeper, float] = {}
    longest = dict.fromkeys(sleepers, 0.0)

    for step in range(4000):
        clock.now += 0.0005
        if step % 7 < 4:
            dispatcher.notify()
            for sleeper in sleepers:
                oldest.setdefault(sleeper, clock.now)
        if bell.wait(0) or clock.now >= dispatcher._next_look:
            dispatcher._next_look = dispatcher._look()
        for sleeper in sleepers:
            if sleeper.woken.is_set():
                sleeper.woken.clear()
                if sleeper in oldest:
                    longest[sleeper] = max(longest[sleeper], clock.now - oldest.pop(sleeper))

    assert longest[sleepers[0]] <= 0.0015
    assert longest[sleepers[1]] <= 0.0115
    assert longest[sleepers[2]] <= 0.0515


def test_slow_news_wakes_at_once_whoever_waits_least(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    first, patient = Sleeper(0.0), Sleeper(0.05)
    dispatcher.add(first)
    dispatcher.add(patient)
    dispatcher._next_look = dispatcher._look()
    dispatcher._bell = bell = CountingBell()
    patient.woken.clear()

    for _ in range(10):
        clock.now += 0.003
        first.woken.clear()
        dispatcher.notify()
        assert first.woken.is_set()
        if bell.wait(0):
            dispatcher._next_look = dispatcher._look()

    assert bell.rung == 1, "the others are looked after once"
    assert not patient.woken.is_set()
    clock.now += 0.05
    dispatcher._look()
    assert patient.woken.is_set()


def test_slow_news_is_rung_for_where_several_wait_least(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    sleepers = [Sleeper(0.0), Sleeper(0.0)]
    for sleeper in sleepers:
        dispatcher.add(sleeper)
    dispatcher._next_look = dispatcher._look()
    dispatcher._bell = bell = CountingBell()

    for _ in range(10):
        clock.now += 0.003
        dispatcher.notify()
        assert bell.wait(0)
        for sleeper in sleepers:
            sleeper.woken.clear()
        dispatcher._next_look = dispatcher._look()
        assert all(sleeper.woken.is_set() for sleeper in sleepers)


def test_what_a_publisher_does_is_the_same_for_any_number_of_consumers() -> None:
    rings = []
    for consumers in (1, 100):
        dispatcher = Dispatcher()
        dispatcher._bell = bell = CountingBell()
        for _ in range(consumers):
            dispatcher.add(Sleeper(0.0))
        bell.rung = 0
        dispatcher.notify()
        rings.append(bell.rung)

    assert rings == [1, 1]


def test_news_that_comes_while_it_looks_is_not_left_lying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan.dispatcher._LONGEST_SLEEP", 3600.0)
    looked = threading.Event()

    class Interrupted(Dispatcher):
        def _look(self) -> float:
            next_look = super()._look()
            if not looked.is_set():
                looked.set()
                # A publisher that comes just now rings for nobody: it sees that the dispatcher is awake.
                self.notify()
            return next_look

    dispatcher = Interrupted()
    sleeper = Sleeper(0.0)
    dispatcher._slots = [_Slot(sleeper)]
    dispatcher._weigh()
    dispatcher.start()

    wait_for(sleeper.woken)
    dispatcher.stop()


def test_removed_consumer_is_left_alone() -> None:
    with dispatching() as dispatcher:
        gone, there = Sleeper(0.0), Sleeper(0.0)
        dispatcher.add(gone)
        dispatcher.add(there)
        wait_for(gone.woken)
        dispatcher.remove(gone)
        gone.woken.clear()
        there.woken.clear()

        dispatcher.notify(urgent=True)

        wait_for(there.woken)
        assert not gone.woken.is_set()


def test_call_is_made_soon_and_once() -> None:
    with dispatching() as dispatcher:
        called = threading.Event()
        calls: list[str] = []

        dispatcher.call_soon(lambda: calls.append("first"))
        dispatcher.call_soon(called.set)

        wait_for(called)
        assert calls == ["first"]


def test_consumer_that_raises_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(Sleeper):
        def wake(self) -> None:
            raise SystemExit(3)

        def check(self) -> None:
            raise ValueError("a log's handler, say")

    def raising(*_: object) -> None:
        raise OSError("and so does the one that would tell of it")

    monkeypatch.setattr("streamfan.dispatcher.log.exception", raising)
    with dispatching() as dispatcher:
        called = threading.Event()
        dispatcher.add(Raising(0.0))
        dispatcher.notify(urgent=True)

        dispatcher.call_soon(called.set)

        wait_for(called)


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_call_that_raises_does_not_end_the_thread(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with dispatching() as dispatcher:
        called = threading.Event()
        dispatcher.call_soon(fail)

        dispatcher.call_soon(called.set)

        wait_for(called)


def test_stop_makes_the_calls_that_are_left() -> None:
    called = threading.Event()
    with dispatching() as dispatcher:
        dispatcher.call_soon(called.set)

    assert called.is_set()


def test_linger_counts_from_when_the_text_came(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("streamfan.dispatcher.monotonic", clock)
    dispatcher = Dispatcher()
    sleeper = Sleeper(1.0)
    dispatcher.add(sleeper)
    dispatcher._look()
    sleeper.woken.clear()
    dispatcher.notify()

    clock.now += 0.9
    assert dispatcher._look() == pytest.approx(clock.now + 0.1)

    clock.now += 0.1
    dispatcher._look()
    assert sleeper.woken.is_set()
