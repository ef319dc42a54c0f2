"""Whatever a function does, the sink beside it has every byte."""

from __future__ import annotations

import threading

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.callback import Callback
from tests.support.faults import injects
from tests.support.sinks import MemorySink, wait_for, wait_until


class Function:
    """A function of the program that is up to no good until it is let go.

    Attributes:
        calls: The texts it was called with.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.called = threading.Event()
        self.go_on = threading.Event()
        self._block = injects(self.go_on.wait)

    def __call__(self, text: str, end: bool) -> None:
        self.called.set()
        self._block()
        self.calls.append(text)


@injects
def refuse(text: str) -> None:
    raise ValueError(f"not {text!r}")


@pytest.mark.guarantee("callback", "slow")
def test_slow_function_holds_up_nobody_and_gets_what_came_meanwhile_as_one_piece() -> None:
    function, healthy = Function(), MemorySink()
    with Fan(function, healthy) as fan:
        with fan.open() as stream:
            stream.write("first")
            wait_for(function.called)
            for number in range(100):
                stream.write(f" {number}")
        wait_for(healthy.closed)
        # More than a busy machine brings about by itself.
        wait_until(lambda: fan.report.sinks[0].lag > 2.5)
        function.go_on.set()

    assert function.calls == ["first", stream.text.removeprefix("first"), ""]
    assert fan.report.failures == ()


@pytest.mark.guarantee("callback", "hung")
def test_function_that_never_returns_is_given_up_and_what_it_lacks_is_told() -> None:
    function, healthy = Function(), MemorySink()
    with Fan(healthy) as fan:
        fan.add(function, lane=LaneOptions(call_timeout=0.2))
        with fan.open() as stream:
            stream.write("text")

    reports = [(report.id, report.waiting_in, report.missing) for report in fan.report.failures]
    assert reports == [("callback", "write", 4)]
    assert healthy.text() == "text"
    function.go_on.set()


@pytest.mark.guarantee("callback", "raising")
def test_function_that_raises_fails_that_stream_alone_and_what_it_lacks_is_told() -> None:
    calls: list[str] = []

    def function(text: str, end: bool) -> None:
        calls.append(text)
        if len(calls) == 1:
            refuse(text)

    healthy = MemorySink()
    with Fan(Callback(function), healthy) as fan:
        for text in ("one", "two"):
            with fan.open() as stream:
                stream.write(text)

    assert calls == ["one", "", "two", ""]
    assert [(report.id, report.missing) for report in fan.report.failures] == [("callback", 3)]
    assert healthy.text() == "onetwo"


@pytest.mark.guarantee("callback", "shutdown")
def test_function_that_hangs_at_shutdown_is_not_waited_for_and_is_given_no_more_text() -> None:
    function = Function()
    fan = Fan(function)
    with fan.open() as stream:
        stream.write("first")
        wait_for(function.called)
        stream.write(" and more")

    injects(fan.close)(timeout=0.2)
    reports = [(report.waiting_in, report.missing) for report in fan.report.failures]
    function.go_on.set()

    wait_until(lambda: function.calls[-1:] == [""])
    assert reports == [("write", len("first and more"))]
    assert function.calls == ["first", ""]
    fan.close()
