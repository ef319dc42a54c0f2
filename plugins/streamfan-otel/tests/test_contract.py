"""The contract kit on the sink `otel`, with an exporter in memory that is given the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.testing import SinkContract
from streamfan_otel.attributes import ATTEMPT, OUTPUT_MESSAGES, STREAM

if TYPE_CHECKING:
    from streamfan import StreamInfo
    from streamfan.testing import MakeSink, Received
    from tests.conftest import Memory


class TestOtel(SinkContract):
    """A stream is a span, and its text an attribute of it."""

    # The SDK exports a span when it has ended.
    shows_open_streams = False

    @pytest.fixture
    def sink(self, memory: Memory) -> MakeSink:
        return lambda: memory.sink(capture_content=True, max_content="2MiB")

    @pytest.fixture
    def received(self, memory: Memory) -> Received:
        def received(stream: StreamInfo) -> str:
            spans = [dict(span.attributes or {}) for span in memory.spans]
            mine = [span for span in spans if (span[STREAM], span[ATTEMPT]) == (stream.id, stream.attempt)]
            return "".join(_text(span[OUTPUT_MESSAGES]) for span in mine)

        return received


def _text(messages: object) -> str:
    assert isinstance(messages, tuple)
    (message,) = messages
    (part,) = message["parts"]
    text = part["content"]
    assert isinstance(text, str)
    return text
