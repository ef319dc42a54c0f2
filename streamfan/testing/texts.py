"""Promises about the text of one stream."""

from __future__ import annotations

import pytest

from streamfan.options import LaneOptions
from streamfan.sink import Sink
from streamfan.testing.kit import Kit
from streamfan.testing.promises import broken
from streamfan.testing.suite import Suite
from streamfan.testing.values import chunks, new_stream
from streamfan.testing.witness import Witness

_WORDS = ["Once", " upon", " a", " time", " there", " was"]
_SCRIPTS = ["Größe ", "日本語", " héllo 😀", "é", "\N{ZERO WIDTH JOINER}", "עברית", "\N{LINE SEPARATOR}", "𝄞"]
_LINES = ["\n", "one\n", "\n", "two\r\n", "three\r", "\tfour", "\n\n"]
_CONTROLS = ["a\x00", "\x00", "\x1b[31m", "\x07\x08", "\x7f", "b"]


class TextTests(Suite):
    """In order, without gaps, and as it is."""

    def test_text_arrives_in_order_and_without_gaps(self, kit: Kit) -> None:
        """A hundred chunks arrive one after the other."""
        _arrives(kit, *(f"{number}," for number in range(100)))

    def test_bare_stream_arrives_through_a_fan(self, kit: Kit) -> None:
        """A lane, on its own thread, delivers a stream of which nothing is known but its id."""
        run = kit.publish(Witness(kit.make()), *_WORDS, lane=LaneOptions(), model=None)

        if run.failure is not None:
            broken(f"a fan could not deliver {run.text!r}: {run.failure}", Sink.write)
        kit.check(run.stream, run.text)

    def test_text_is_there_when_write_returns(self, kit: Kit) -> None:
        """What was written is at the destination, not in a buffer that dies with the program."""
        if not self.shows_open_streams:
            pytest.skip("the destination cannot be read before a stream is closed")
        sink, stream = kit.connected(), new_stream()
        kit.open(sink, stream)

        for number, chunk in enumerate(chunks(stream, *_WORDS), start=1):
            kit.write(sink, chunk)
            kit.check(stream, "".join(_WORDS[:number]))

    def test_offsets_count_utf8_bytes(self, kit: Kit) -> None:
        """Where offsets are kept, each is the number of UTF-8 bytes before its text."""
        sink, stream = kit.connected(), new_stream()
        kit.deliver(sink, stream, *_SCRIPTS)
        pieces = kit.held(stream).pieces
        if pieces is None:
            pytest.skip("the destination keeps no offsets")

        position = 0
        for offset, text in pieces:
            if offset != position:
                broken(f"{text!r} has offset {offset}, and {position} bytes are before it", Sink.write)
            position += len(text.encode())

    def test_non_ascii_text_is_kept(self, kit: Kit) -> None:
        """Characters of every length in UTF-8 arrive as they are."""
        _arrives(kit, *_SCRIPTS)

    def test_newlines_are_kept(self, kit: Kit) -> None:
        """Line ends of every kind arrive as they are, at the beginning and the end too."""
        _arrives(kit, *_LINES)

    def test_nul_and_control_characters_are_kept(self, kit: Kit) -> None:
        """They are part of the text."""
        _arrives(kit, *_CONTROLS)

    def test_large_chunks_are_kept(self, kit: Kit) -> None:
        """A large text that waits arrives whole, in chunks as large as the lane makes them."""
        text = ("0123456789abcde\n" * (self.large // 16 + 1))[: self.large]
        run = kit.publish(Witness(kit.make()), text, lane=LaneOptions())

        if run.failure is not None:
            broken(f"a text of {self.large} bytes was not delivered: {run.failure}", Sink.write)
        kit.check(run.stream, text)

    def test_stream_without_text_is_closed(self, kit: Kit) -> None:
        """A stream that ends at once is opened and closed, and nothing is written."""
        sink, stream = kit.connected(), new_stream()

        kit.deliver(sink, stream)

        if text := kit.held(stream).text:
            broken(f"nothing was written, and the destination holds {text!r}", Sink.close)


def _arrives(kit: Kit, *texts: str) -> None:
    sink, stream = kit.connected(), new_stream()
    kit.deliver(sink, stream, *texts)
    kit.check(stream, "".join(texts))
