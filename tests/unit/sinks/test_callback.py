from __future__ import annotations

import functools

import pytest

from streamfan.errors import Permanent, SinkClosed, UsageError
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

    async def __call__(self, text: str, end: bool) -> None: ...


async def coroutine(text: str, end: bool) -> None: ...


def test_label_is_the_name_of_the_function() -> None:
    assert Callback(Model().on_text).label == "Model.on_text"
    assert Callback(functools.partial(Model().on_text, "x")).label == "partial"


@pytest.mark.parametrize("function", [coroutine, functools.partial(coroutine, "x"), Model()])
def test_coroutine_function_is_refused(function: object) -> None:
    with pytest.raises(UsageError, match=r"never be awaited\nTry: a subclass of streamfan\.AsyncSink"):
        Callback(function)  # type: ignore[call-overload]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="must be callable, got 'print'"):
        Callback("print")  # type: ignore[call-overload]


def test_nothing_is_sent_twice() -> None:
    assert Callback.delivery is Delivery.AT_MOST_ONCE
