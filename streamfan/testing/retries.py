"""Promises about what is done again after a failure."""

from __future__ import annotations

import pytest

from streamfan.retry import may_pass
from streamfan.sink import Delivery, Sink
from streamfan.testing.kit import Kit, LoseReply
from streamfan.testing.promises import broken
from streamfan.testing.suite import Suite
from streamfan.testing.values import chunks, new_stream
from streamfan.testing.witness import Moment, Spoil, Witness

_WORDS = ["Once ", "upon ", "a time"]
_TEXT = "Once upon a time there was a lane"
# Bytes and characters differ, so that one cannot be taken for the other.
_SCRIPTS = ["día ", "日本", "語"]


# Not after close: a sink that has let a stream go is not asked about it any more.
_FAILURES: list[tuple[Moment, str]] = [
    *(("before", method) for method in ("connect", "open", "write", "close")),
    *(("after", method) for method in ("connect", "open", "write")),
]


def _raise() -> None:
    raise ConnectionResetError("the kit has cut the connection")


class RetryTests(Suite):
    """The sink's own guarantee holds after a failure: `delivery` says which it is."""

    def test_open_says_what_the_destination_holds(self, kit: Kit) -> None:
        """Asked again in the middle of a stream, `open` counts the UTF-8 bytes that are there."""
        sink, stream = kit.connected(), new_stream()
        kit.begin(sink, stream, *_SCRIPTS)

        said = kit.open(sink, stream)

        if said is None and sink.delivery is Delivery.EXACTLY_ONCE:
            broken("open() returned None, and a sink that cannot know is not exactly once", Delivery.EXACTLY_ONCE)
        if said is None:
            pytest.skip("open() says nothing")
        there = len("".join(_SCRIPTS).encode())
        if said != there or type(said) is not int:
            broken(f"open() returned {said!r} when {there} bytes had been written", Sink.open)

    def test_another_sink_goes_on_with_an_attempt(self, kit: Kit) -> None:
        """The program's connection is made anew: from where the new sink's `open` says, the text becomes whole."""
        sink, stream = kit.connected(), new_stream()
        if sink.delivery is not Delivery.EXACTLY_ONCE:
            pytest.skip(f"the sink delivers {sink.delivery}")
        kit.begin(sink, stream, *_WORDS[:2])
        kit.disconnect(sink)

        sink, there = kit.connected(), "".join(_WORDS[:2]).encode()
        said = kit.open(sink, stream)
        if said is None:
            pytest.skip("open() says nothing")
        if said > len(there):
            broken(f"open() returned {said!r} when {len(there)} bytes had been written", Sink.open)
        for chunk in chunks(stream, there[said:].decode() + _WORDS[2], offset=said):
            kit.write(sink, chunk)
        kit.close(sink, stream, "".join(_WORDS))

        if (text := kit.held(stream).read()) != "".join(_WORDS):
            broken(f"the destination holds {text!r} instead of {''.join(_WORDS)!r}", Delivery.EXACTLY_ONCE)

    @pytest.mark.parametrize(("moment", "method"), _FAILURES)
    def test_failed_call_is_made_good(self, kit: Kit, moment: Moment, method: str) -> None:
        """A call fails before the destination has heard of it, or after it has; the lane opens the stream again."""
        witness = Witness(kit.make(), Spoil(method, moment, _raise))

        run = kit.publish(witness, _TEXT)

        kit.check_delivered(run)

    def test_lost_reply_is_noticed(self, kit: Kit, lose_reply: LoseReply | None) -> None:
        """A sink that takes silence for success has nothing to make good; nor has a fixture that loses nothing."""
        if lose_reply is None:
            pytest.skip("the suite has no fixture lose_reply")
        sink, stream = kit.connected(), new_stream()
        kit.open(sink, stream)
        (chunk,) = chunks(stream, _WORDS[0])
        lose_reply()

        try:
            sink.write(chunk)
        except Exception as error:  # noqa: BLE001 - foreign code: what it raises is the finding
            if sink.delivery is not Delivery.AT_MOST_ONCE and not may_pass(error):
                broken(
                    f"write() raised {error!r} when its reply was lost, after which nothing is tried again", Sink, error
                )
            return
        # One that has not sent anything yet has no reply to miss.
        if kit.held(stream).text == _WORDS[0]:
            broken("write() returned although its reply was lost; or the fixture lose_reply loses none", Sink.write)

    @pytest.mark.parametrize("method", ["open", "write", "close"])
    def test_lost_reply_is_made_good(self, kit: Kit, lose_reply: LoseReply | None, method: str) -> None:
        """The same with a destination that really takes what it is sent, and whose answer is lost."""
        if lose_reply is None:
            pytest.skip("the suite has no fixture lose_reply")
        witness = Witness(kit.make(), Spoil(method, "before", lose_reply))

        run = kit.publish(witness, _TEXT)

        kit.check_delivered(run)
        if method == "close":
            kit.held(run.stream).check_ends(witness.delivery)
