"""What a sink is given by its base class, also one that is written carelessly."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from streamfan.fan import Fan
from streamfan.sink import AsyncSink, Sink
from tests.support.deliveries import chunks
from tests.support.sinks import DEADLINE, wait_for
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Chunk


class Careless(Sink):
    """Its constructor forgets the base class's."""

    name = "careless"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, chunk: Chunk) -> None:
        self.texts.append(chunk.text)


class CarelessAsync(AsyncSink):
    """The same, with coroutines."""

    name = "carelessasync"

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def awrite(self, chunk: Chunk) -> None:
        self.texts.append(chunk.text)


@pytest.mark.parametrize("kind", [Careless, CarelessAsync])
def test_sink_whose_constructor_forgets_the_base_class_works(kind: Callable[[], Careless | CarelessAsync]) -> None:
    sink = kind()

    with Fan(sink) as fan, fan.open() as stream:
        stream.write("text")

    assert sink.texts == ["text"]
    assert (sink.target, sink.options) == (None, sink.Options())
    assert not fan.report.failures


class Exiting(AsyncSink):
    """Raises what is not for it to raise."""

    name = "exiting"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    async def awrite(self, chunk: Chunk) -> None:
        raise self._error


@pytest.mark.parametrize("error", [SystemExit("over"), KeyboardInterrupt("over")])
def test_coroutine_that_wants_to_exit_fails_its_stream_alone(error: BaseException) -> None:
    with Fan(Exiting(error), close_timeout=DEADLINE) as fan, fan.open() as stream:
        stream.write("text")

    (failure,) = fan.report.failures
    assert failure.error == f"{type(error).__name__}: over"


class Pinging(AsyncSink):
    """Leaves a task running, which ends when it is cancelled, and not at once."""

    name = "pinging"

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.pinging = threading.Event()
        self.ended = threading.Event()
        self._error = error

    async def awrite(self, chunk: Chunk) -> None:
        self._task = asyncio.create_task(self._ping())

    async def _ping(self) -> None:
        self.pinging.set()
        try:
            if self._error is not None:
                raise self._error
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            self.ended.set()


def written_to(sink: AsyncSink) -> None:
    for chunk in chunks(info(), "text"):
        sink.write(chunk)


def test_disconnecting_cancels_what_still_runs_and_waits_for_it() -> None:
    sink = Pinging()
    written_to(sink)
    wait_for(sink.pinging)

    sink.disconnect()

    assert sink.ended.is_set()
    assert not any(thread.name == "streamfan-pinging-loop" for thread in threading.enumerate())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_task_that_wants_to_exit_does_not_stop_the_event_loop() -> None:
    sink = Pinging(SystemExit("over"))
    written_to(sink)
    wait_for(sink.ended)

    written_to(sink)

    sink.disconnect()
