"""The contract kit on the callback sink: functions that get text, and functions that get events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.events import Event
from streamfan.sinks.callback import Callback, ListenerSink
from streamfan.testing import MakeSink, Received, SinkContract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

NO_NAME: Mapping[str, str] = {"test_entry_point_leads_to_the_sink": "a function has no name that could be installed"}


class TestText(SinkContract):
    """`function(text, end)`."""

    exclude: ClassVar[Mapping[str, str]] = NO_NAME
    tells_streams_apart = False

    @pytest.fixture
    def texts(self) -> list[str]:
        return []

    @pytest.fixture
    def sink(self, texts: list[str]) -> MakeSink:
        return lambda: Callback(lambda text, end: texts.append(text))

    @pytest.fixture
    def received(self, texts: list[str]) -> Received:
        return lambda stream: "".join(texts)


class TestCoroutine(TestText):
    """`async function(text, end)`."""

    @pytest.fixture
    def sink(self, texts: list[str]) -> MakeSink:
        async def on_text(text: str, end: bool) -> None:
            texts.append(text)

        return lambda: Callback(on_text)


class TestListener(TestText):
    """An object with `on_token`."""

    @pytest.fixture
    def sink(self, texts: list[str]) -> MakeSink:
        class Listening:
            def on_token(self, text: str) -> None:
                texts.append(text)

        return lambda: ListenerSink(Listening())


class TestEvents(SinkContract):
    """`function(event)`."""

    exclude: ClassVar[Mapping[str, str]] = NO_NAME

    @pytest.fixture
    def events(self) -> list[Event]:
        return []

    @pytest.fixture
    def sink(self, events: list[Event]) -> MakeSink:
        return lambda: Callback(events.append, events=True)

    @pytest.fixture
    def received(self, events: list[Event]) -> Received:
        return lambda stream: list(events)
