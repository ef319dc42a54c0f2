"""Promises about several streams, and about how each ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamfan.attempts import next_attempt
from streamfan.events import FINISH_REASONS, Cancellation, Fault
from streamfan.sink import Sink
from streamfan.testing.kit import Kit
from streamfan.testing.promises import broken, promised
from streamfan.testing.suite import Suite
from streamfan.testing.values import chunks, ending, new_stream
from streamfan.testing.witness import Witness

_FIRST = ["one ", "two ", "three"]
_SECOND = ["eins ", "zwei ", "drei"]


class StreamTests(Suite):
    """Streams do not mix, and every one is finished."""

    def test_streams_one_after_the_other_are_kept(self, kit: Kit) -> None:
        """A sink serves one stream after the other over one connection."""
        sink, first, second = kit.connected(), new_stream(), new_stream()
        kit.deliver(sink, first, *_FIRST)
        kit.deliver(sink, second, *_SECOND)

        if self.tells_streams_apart:
            kit.check(first, "".join(_FIRST))
            kit.check(second, "".join(_SECOND))
            return
        text, expected = kit.held(second).text, ("".join(_FIRST), "".join(_SECOND))
        if not (text.startswith(expected[0]) and text.removeprefix(expected[0]).strip() == expected[1]):
            broken(f"{text!r} is not {expected[0]!r} and then {expected[1]!r}", Sink.write)

    def test_interleaved_streams_do_not_mix(self, kit: Kit) -> None:
        """Chunks of two open streams come in turn, and each stream keeps its own."""
        self._need_streams_apart()
        sink, first, second = kit.connected(), new_stream(), new_stream()
        if sink.lane_defaults.sequential:
            pytest.skip("the sink asks for one stream at a time")
        kit.open(sink, first)
        kit.open(sink, second)
        for one, other in zip(chunks(first, *_FIRST), chunks(second, *_SECOND), strict=True):
            kit.write(sink, one)
            kit.write(sink, other)
        kit.close(sink, first, "".join(_FIRST))
        kit.close(sink, second, "".join(_SECOND))

        kit.check(first, "".join(_FIRST))
        kit.check(second, "".join(_SECOND))

    def test_later_attempt_begins_at_zero(self, kit: Kit) -> None:
        """A stream is tried again after its program has died: the new text is not appended to the old one."""
        self._need_streams_apart()
        sink, stream = kit.connected(), new_stream()
        kit.begin(sink, stream, *_FIRST)
        kit.disconnect(sink)

        sink, again = kit.connected(), replace(stream, attempt=next_attempt())
        held = kit.open(sink, again)
        if held:
            broken(f"open() of an attempt that is new returned {held}", Sink.open, about="an older one")
        for chunk in chunks(again, *_SECOND):
            kit.write(sink, chunk)
        kit.close(sink, again, "".join(_SECOND))

        kit.check(again, "".join(_SECOND))

    def test_every_stream_is_closed_once(self, kit: Kit) -> None:
        """One end reaches the destination, whatever comes after it."""
        run = kit.publish(Witness(kit.make()), *_FIRST)
        held = kit.held(run.stream)

        if run.witness.seen.calls.count("close") != 1:
            broken(f"close() did not return: the calls were {run.witness.seen.calls}", Sink.close)
        if len(held.ends) > 1:
            broken(f"the stream has {len(held.ends)} ends", Sink.close)

    @pytest.mark.parametrize("finish_reason", FINISH_REASONS)
    def test_stream_can_end_in_every_way(self, kit: Kit, finish_reason: str) -> None:
        """Also one that failed or was cancelled keeps its text and is closed."""
        sink, stream = kit.connected(), new_stream()
        kit.begin(sink, stream, *_FIRST)
        end = ending(
            stream,
            "".join(_FIRST),
            finish_reason=finish_reason,
            error=Fault("RuntimeError", "out of memory") if finish_reason == "error" else None,
            cancel=Cancellation("seen enough", "somebody") if finish_reason == "cancelled" else None,
        )

        with promised(f"close() of a stream that ended with {finish_reason!r}", Sink.close):
            sink.close(stream, end)

        kit.check(stream, "".join(_FIRST))
