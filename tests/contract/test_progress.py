"""The contract kit on the progress sink, which shows how much there is of a text, and not the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.sinks.progress import ProgressSink
from streamfan.testing import MakeSink, Received, SinkContract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

# What remains is what it owes its lane: every failure, every call that blocks, and that nothing is left of it.
ABOUT_THE_TEXT = (
    "test_bare_stream_arrives_through_a_fan",
    "test_beat_changes_no_text",
    "test_failed_call_is_made_good",
    "test_large_chunks_are_kept",
    "test_newlines_are_kept",
    "test_non_ascii_text_is_kept",
    "test_nul_and_control_characters_are_kept",
    "test_stream_can_end_in_every_way",
    "test_streams_one_after_the_other_are_kept",
    "test_text_arrives_in_order_and_without_gaps",
)


class TestProgress(SinkContract):
    """Lines on a stderr that is no terminal."""

    exclude: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ABOUT_THE_TEXT, "it shows how much of the text there is, and nobody can read the text from that"
    )
    tells_streams_apart = False
    shows_open_streams = False

    @pytest.fixture
    def sink(self) -> MakeSink:
        return ProgressSink

    @pytest.fixture
    def received(self) -> Received:
        return lambda stream: ""
