"""The contract of sinks: a test for every promise, inherited; see docs/testing-a-sink.md of streamfan.

A suite says how to make the sink, how to read what its destination holds, and, where that can be arranged, how to have
an answer lost. The destination is a real one: a fake agrees with its author.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.testing import LoseReply, MakeSink, Received, SinkContract
from streamfan_example import ExampleOptions, ExampleSink

if TYPE_CHECKING:
    from tests.forgetful import ForgetfulCollector


class TestContract(SinkContract):
    """Each stream has a file of its own, so `received` gives its text."""

    @pytest.fixture
    def sink(self, collector: ForgetfulCollector) -> MakeSink:
        """One more sink for the same collector."""
        options = ExampleOptions.model_validate({"token": "s3cret"})
        return lambda: ExampleSink(collector.target, options)

    @pytest.fixture
    def received(self, collector: ForgetfulCollector) -> Received:
        """What is in the stream's file."""
        return collector.text

    @pytest.fixture
    def lose_reply(self, collector: ForgetfulCollector) -> LoseReply:
        """The collector takes the next line and hangs up instead of answering."""
        return lambda: setattr(collector, "lose_next", True)
