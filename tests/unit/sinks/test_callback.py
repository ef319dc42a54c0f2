from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import pytest

from streamfan import Fan
from streamfan.errors import Permanent, SinkClosed, StreamFailed, UsageError
from streamfan.events import Event, Start, Text
from streamfan.options import LaneOptions
from streamfan.sink import Delivery
from streamfan.sinks.callback import Callback
from tests.support.deliveries import chunks, deliver, ending
from tests.support.streams import info


def test_function_gets_every_text_and_then_the_end() -> None:
    calls: list[tuple[str, bool]] = []

    deliver(Callback(lambda text, end: calls.append((text, end))), "Hel", "lo")

    assert calls == [("Hel", False), ("lo", False), ("", True)]


def test_function_is_told_the_end_of_a_stream_without_text() -> None:
    calls: list[tuple[str, bool]] = []

    deliver(Callback(lambda text, end: calls.append((text, end))))

    assert calls == [("", True)]


def test_function_gets_events_if_asked_for() -> None:
    events: list[Event] = []
    stream = info("s1")
    sink = Callback(events.append, events=True)
    (chunk,) = chunks(stream, "Hello", token_ids=[7])
    end = ending(stream, "Hello")

    sink.open(stream)
    sink.write(chunk)
    sink.close(stream, end)

    start, text, last = events
    assert isinstance(start, Start)
    assert (start.stream, start.attempt) == ("s1", stream.attempt)
    assert isinstance(text, Text)
    assert (text.offset, text.end, text.text, text.token_ids) == (0, 5, "Hello", (7,))
    assert last is end


def test_streams_follow_one_another_unless_events_tell_them_apart() -> None:
    assert Callback(lambda text, end: None).lane_defaults == LaneOptions(linger=0.0, sequential=True)
    assert Callback(lambda event: None, events=True).lane_defaults == LaneOptions(linger=0.0)


def test_what_the_function_returns_is_ignored() -> None:
    seen: list[str] = []

    def stop_it(text: str, end: bool) -> bool:
        seen.append(text)
        return False

    deliver(Callback(stop_it), "goes", " on")

    assert seen == ["goes", " on", ""]


@pytest.mark.parametrize("error", [ValueError("no"), ConnectionResetError("no"), TimeoutError("no")])
def test_error_of_the_function_fails_the_stream_and_names_the_function(error: Exception) -> None:
    def on_text(text: str, end: bool) -> None:
        raise error

    sink = Callback(on_text)

    with pytest.raises(Permanent, match=r"on_text raised \w+Error\('no'\)") as caught:
        sink.write(chunks(info(), "x")[0])
    assert caught.value.__cause__ is error


def test_function_ends_its_lane_with_sink_closed() -> None:
    def enough(text: str, end: bool) -> None:
        raise SinkClosed

    with pytest.raises(SinkClosed):
        deliver(Callback(enough), "x")


class Model:
    def on_text(self, text: str, end: bool) -> None: ...


def test_label_is_the_name_of_the_function() -> None:
    assert Callback(Model().on_text).label == "Model.on_text"
    assert Callback(functools.partial(Model().on_text, "x")).label == "partial"


@pytest.mark.parametrize("wrap", [lambda it: it, functools.partial])
def test_coroutine_function_is_awaited_in_one_loop_of_another_thread(wrap: Any) -> None:
    calls: list[tuple[str, bool, object, object]] = []

    async def on_text(text: str, end: bool) -> None:
        await asyncio.sleep(0)
        calls.append((text, end, asyncio.get_running_loop(), threading.current_thread()))

    sink = Callback(wrap(on_text))
    deliver(sink, "Hel", "lo")
    sink.disconnect()

    assert [call[:2] for call in calls] == [("Hel", False), ("lo", False), ("", True)]
    assert len({call[2] for call in calls}) == 1
    assert {call[3] for call in calls}.isdisjoint({threading.current_thread()})


def test_error_of_a_coroutine_fails_the_stream_like_that_of_a_function() -> None:
    async def on_text(text: str, end: bool) -> None:
        raise ConnectionResetError("no")

    sink = Callback(on_text)

    with pytest.raises(Permanent, match=r"on_text raised ConnectionResetError\('no'\)"):
        sink.write(chunks(info(), "x")[0])
    sink.disconnect()


# Objects


class Heard:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def on_token(self, text: str) -> None:
        self.said.append(text)

    def on_complete(self) -> None:
        self.said.append("complete")

    def on_error(self, error: StreamFailed) -> None:
        self.said.append(str(error))


class HeardInAsyncio(Heard):
    async def on_token(self, text: str) -> None:  # type: ignore[override]
        super().on_token(text)

    async def on_complete(self) -> None:  # type: ignore[override]
        super().on_complete()


@pytest.mark.parametrize("kind", [Heard, HeardInAsyncio])
def test_object_hears_every_text_and_that_it_was_all(kind: type[Heard]) -> None:
    listener = kind()
    with Fan(listener) as fan:
        for finish_reason in ("stop", "cancelled"):
            stream = fan.open()
            stream.write("Hello")
            stream.end(finish_reason)

    assert listener.said == ["Hello", "complete"] * 2


def test_object_hears_of_the_error_in_place_of_the_end() -> None:
    listener = Heard()
    with Fan() as fan:
        fan.add(listener)
        stream = fan.open("s")
        stream.write("Hel")
        stream.fail(RuntimeError("out of memory"))

    assert listener.said == ["Hel", "stream 's' failed: RuntimeError: out of memory"]


def test_object_that_has_raised_is_not_told_that_it_has_everything() -> None:
    class Broken(Heard):
        def on_token(self, text: str) -> None:
            raise ValueError("no")

    listener = Broken()
    with Fan(listener) as fan, fan.open("s") as stream:
        stream.write("Hello")

    assert listener.said == ["stream 's' failed: Incomplete: not all of its text was delivered here"]
    assert "Broken.on_token raised ValueError('no')" in str(fan.report.sinks[0].error)


def test_object_needs_no_more_than_on_token() -> None:
    class Least:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def on_token(self, text: str) -> None:
            self.texts.append(text)

    listeners = Least(), Least()
    with Fan(*listeners) as fan:
        fan.open().fail("no")
        with fan.open() as stream:
            stream.write("Hello")

    assert [listener.texts for listener in listeners] == [["Hello"]] * 2
    assert [sink.id for sink in fan.report.sinks] == ["callback", "callback2"]
    assert [sink.target for sink in fan.report.sinks] == ["test_object_needs_no_more_than_on_token.<locals>.Least"] * 2


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="must be callable, got 'print'"):
        Callback("print")  # type: ignore[call-overload]


def test_nothing_is_sent_twice() -> None:
    assert Callback.delivery is Delivery.AT_MOST_ONCE
