"""Receivers that answer 409 with `Streamfan-Offset`: the text goes on from where they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.errors import Permanent
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookSink
from streamfan.sinks.webhook.answers import Moved
from tests.support.chunks import STREAM, chunks, ending
from tests.support.receiver import Exchange, Receiver, Reply, answer, hang_up

if TYPE_CHECKING:
    from streamfan.report import Report
    from tests.support.webhooks import Make

QUICK = LaneOptions(linger=0.0, max_elapsed=2.0)


def moved(offset: object) -> Reply:
    return answer(409, {"Streamfan-Offset": str(offset)})


def publish(receiver: Receiver, *texts: str, lane: LaneOptions = QUICK) -> Report:
    """Publish `texts` as one stream, each sent before the next is written."""
    sink = WebhookSink(receiver.url)
    with Fan() as fan:
        fan.add(sink, lane=lane)
        with fan.open(id="s", attempt=7) as stream:
            for number, text in enumerate(texts):
                stream.write(text)
                receiver.wait_for(number + 2)
    return fan.report


def texts(receiver: Receiver) -> list[tuple[int, int, str]]:
    return [(event["offset"], event["end"], event["text"]) for event in receiver.events if event["type"] == "text"]


class Counting:
    """A receiver by the rules, in memory.

    Attributes:
        text: What it holds.
        forgets: From which requests on, counted from 1, it holds how many bytes at most: each once.
        loses: Which requests it takes without an answer.
    """

    def __init__(self, *, forgets: dict[int, int] | None = None, loses: tuple[int, ...] = ()) -> None:
        self.text = b""
        self.ended = False
        self._forgets = forgets or {}
        self._loses = loses
        self._requests = 0

    def __call__(self, exchange: Exchange) -> None:
        self._requests += 1
        self.text = self.text[: self._forgets.get(self._requests)]
        status, headers = self._take(exchange), {"Streamfan-Offset": str(len(self.text))}
        if self._requests in self._loses:
            exchange.hang_up()
        else:
            exchange.answer(status, headers if status == 409 else {}, b"")

    def _take(self, exchange: Exchange) -> int:
        event = exchange.posted.event
        if event["type"] == "text":
            if event["offset"] != len(self.text):
                return 409
            self.text += event["text"].encode()
        elif event["type"] == "end":
            if event["offset"] != len(self.text):
                return 409
            self.ended = True
        return 200


def test_lost_answer_is_not_followed_by_text_that_was_taken() -> None:
    with Receiver(counting := Counting(loses=(2, 3))) as receiver:
        report = publish(receiver, "Once", " upon", " a time")

        assert counting.text.decode() == "Once upon a time"
        assert (report.sinks[0].complete, report.sinks[0].lost) == (1, 0)


@pytest.mark.parametrize("held", [0, 2, 4, 6, 9])
def test_receiver_that_has_lost_text_gets_it_again(held: int) -> None:
    with Receiver(counting := Counting(forgets={4: held})) as receiver:
        report = publish(receiver, "Once", " upon", " a time", "!")

        assert counting.text.decode() == "Once upon a time!"
        assert counting.ended
        assert report.sinks[0].complete == 1


def test_text_that_is_missing_at_the_end_comes_before_the_end() -> None:
    with Receiver(counting := Counting(forgets={4: 2})) as receiver:
        report = publish(receiver, "Once", " upon")

        assert counting.text.decode() == "Once upon"
        assert counting.ended
        assert [event["type"] for event in receiver.events] == ["start", "text", "text", "end", "text", "end"]
        assert report.sinks[0].complete == 1


def test_receiver_in_the_middle_of_a_piece_gets_the_rest_under_its_own_id(receiver: Receiver) -> None:
    receiver.script(answer(), moved(2))

    publish(receiver, "Once")

    assert texts(receiver) == [(0, 4, "Once"), (2, 4, "ce")]
    ids = [posted.headers["webhook-id"] for posted in receiver.posted]
    assert ids == ["s_7_start", "s_7_0-4", "s_7_2-4", "s_7_end"]


def test_piece_that_is_asked_for_again_is_the_same_to_the_byte(receiver: Receiver) -> None:
    receiver.script(answer(), hang_up, moved(0), moved(0))

    publish(receiver, "Once")

    _, *pieces, _ = receiver.posted
    assert len(pieces) == 4
    assert len({(posted.headers["webhook-id"], posted.body) for posted in pieces}) == 1


def test_first_piece_that_is_held_already_is_not_kept_in_doubt(receiver: Receiver, make: Make) -> None:
    sink, (chunk,) = make(), chunks("Once")
    receiver.script(answer(), moved(4))
    sink.open(STREAM)

    with pytest.raises(Moved):
        sink.write(chunk)

    assert sink.open(STREAM) == 4
    # Said once: a failure later on is about something else.
    assert sink.open(STREAM) is None
    assert len(receiver.posted) == 2


def test_each_stream_is_moved_on_its_own(receiver: Receiver, make: Make) -> None:
    sink, other = make(), replace(STREAM, id="other")
    receiver.script(answer(), answer(), moved(1))
    sink.open(STREAM)
    sink.open(other)

    with pytest.raises(Moved):
        sink.write(chunks("Once")[0])

    assert sink.open(other) is None
    assert sink.open(STREAM) == 1


def test_start_event_that_is_answered_with_an_offset_has_arrived(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(moved(0))

    assert sink.open(STREAM) == 0
    assert sink.open(STREAM) is None
    assert len(receiver.posted) == 1


@pytest.mark.guarantee("webhook", "wrong answer")
@pytest.mark.parametrize("offset", [1, 3, 5, 10**17])
def test_offset_that_cannot_be_fails_the_stream_and_no_other(receiver: Receiver, offset: int) -> None:
    # "é😀": six bytes, of which 1, 3 and 5 are inside characters.
    receiver.script(answer(), moved(offset))

    report = publish(receiver, "é😀")

    why = "is inside a character" if offset < 6 else "no more than 6 bytes of this attempt were ever sent"
    assert f"with Streamfan-Offset: '{offset}', " in str(report.sinks[0].error)
    assert why in str(report.sinks[0].error)
    assert report.sinks[0].failed
    assert [event["type"] for event in receiver.events] == ["start", "text", "end"]
    assert receiver.events[-1]["complete"] is False


def test_offset_beyond_what_was_ever_sent_fails_the_stream(receiver: Receiver) -> None:
    receiver.script(answer(), moved(5))

    report = publish(receiver, "Once")

    assert "with Streamfan-Offset: '5', but no more than 4 bytes of this attempt were ever sent" in str(
        report.sinks[0].error
    )


@pytest.mark.parametrize("offset", ["", "-1", "4.0", "0x4", "four", "٤", "9" * 30, "1 2"])
def test_offset_that_is_no_number_is_permanent(receiver: Receiver, make: Make, offset: str) -> None:
    sink = make()
    receiver.script(answer(), lambda exchange: exchange.send(_conflict(offset)))
    sink.open(STREAM)

    with pytest.raises(Permanent, match=r"answered 409 Conflict, with Streamfan-Offset: .* is no number of bytes"):
        sink.write(chunks("Once")[0])


def _conflict(offset: str) -> bytes:
    return b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\nStreamfan-Offset: " + offset.encode() + b"\r\n\r\n"


def test_conflict_without_an_offset_is_permanent(receiver: Receiver, make: Make) -> None:
    receiver.script(answer(409))

    with pytest.raises(Permanent, match="answered 409 Conflict"):
        make().open(STREAM)


def test_receiver_that_never_gets_further_is_given_up() -> None:
    with Receiver(_never_further) as receiver:
        report = publish(receiver, "Once", lane=LaneOptions(linger=0.0, max_elapsed=0.5))

        assert "answered 409 Conflict, with Streamfan-Offset: '0'" in str(report.sinks[0].error)
        assert report.sinks[0].complete == 0


def _never_further(exchange: Exchange) -> None:
    if exchange.posted.event["type"] == "text":
        exchange.answer(409, {"Streamfan-Offset": "0"}, b"")
    else:
        exchange.answer(200, {}, b"")


def test_end_of_a_stream_that_was_given_up_cannot_ask_for_more(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(answer(), moved(0))
    sink.open(STREAM)

    with pytest.raises(Permanent, match="Streamfan-Offset: '0', and what it lacks has been given up"):
        sink.close(STREAM, ending("Once", complete=False))


def test_incomplete_end_is_another_message_than_the_end_that_was_refused(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(answer(), moved(0))
    sink.open(STREAM)
    with pytest.raises(Moved):
        sink.close(STREAM, ending("Once"))

    sink.close(STREAM, ending("Once", complete=False))

    refused, incomplete = receiver.posted[1:]
    assert refused.headers["webhook-id"] == f"{STREAM.id}_7_end"
    assert incomplete.headers["webhook-id"] == f"{STREAM.id}_7_incomplete"
    assert incomplete.event["complete"] is False
