"""The sink in a lane: boundaries from end to end, and many streams of which some fail."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookSink
from tests.support.command import Shell
from tests.support.receiver import PATIENCE, Exchange, Receiver, answer, hang_up
from tests.support.webhooks import read

if TYPE_CHECKING:
    from pathlib import Path

STORY = "Once upon a time. There was a fox! It cost 3.14 euros\nThe fox said: why"


@pytest.mark.parametrize(
    ("boundary", "pieces"),
    [
        ("sentence", ["Once upon a time. ", "There was a fox! ", "It cost 3.14 euros\n", "The fox said: why"]),
        ("line", ["Once upon a time. There was a fox! It cost 3.14 euros\n", "The fox said: why"]),
        ("all", [STORY]),
    ],
)
def test_pieces_end_where_the_boundary_says(receiver: Receiver, boundary: str, pieces: list[str]) -> None:
    ends = {sum(map(len, pieces[:count])): count for count in range(1, len(pieces))}
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions.model_validate({"linger": 0, "boundary": boundary}))
        with fan.open() as stream:
            for position, character in enumerate(STORY):
                stream.write(character)
                if position + 1 in ends:
                    receiver.wait_for(1 + ends[position + 1])

    start, *texts, end = receiver.events
    assert (start["type"], end["type"]) == ("start", "end")
    assert [event["text"] for event in texts] == pieces


def test_whole_text_waits_for_the_end_of_the_stream(receiver: Receiver) -> None:
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(boundary="all", linger=0.0))
        with fan.open() as stream:
            stream.write("Once upon a time. ")
            receiver.wait_for(1)
            with fan.open() as other:
                other.write("x")
            # The other stream is through, so this one's text was looked at.
            receiver.wait_for(4)
            before = [event["text"] for event in receiver.events if event["type"] == "text"]
            stream.write("The end.")

    assert before == ["x"]
    assert [event["text"] for event in receiver.events if event["type"] == "text"] == [
        "x",
        "Once upon a time. The end.",
    ]


def test_whole_text_that_is_too_long_for_one_body_comes_in_several(receiver: Receiver) -> None:
    text = "word é\n" * 5000
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(boundary="all"))
        with fan.open(id="s") as stream:
            stream.write(text)

    assert read(receiver.events) == {"s": text}
    assert max(len(posted.body) for posted in receiver.posted) <= 16 * 1024
    assert 3 <= len(receiver.posted) - 2 <= 5


@pytest.mark.parametrize(
    ("boundary", "pieces"),
    [("sentence", ["Once upon a time. ", "There was a fox"]), ("all", ["Once upon a time. There was a fox"])],
)
def test_boundary_on_the_command_line(tmp_path: Path, receiver: Receiver, boundary: str, pieces: list[str]) -> None:
    lane = ("-o", f"hook.lane.boundary={boundary}", "-o", "hook.lane.linger=0")
    process = Shell(tmp_path).start("run", "--source", "stdin", "--sink", f"hook={receiver.url}", *lane)
    assert process.stdin is not None

    process.stdin.write(b"Once upon a time. There")
    process.stdin.flush()
    receiver.wait_for(len(pieces))
    stdout, stderr = process.communicate(b" was a fox", PATIENCE)

    assert (process.returncode, stdout) == (0, b"Once upon a time. There was a fox"), stderr
    assert [event["text"] for event in receiver.events if event["type"] == "text"] == pieces


class Moody:
    """Fails in a third of the cases, in different ways, and remembers what it has taken, said or unsaid."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.bodies: dict[str, set[bytes]] = {}
        self.taken: dict[str, dict[str, object]] = {}

    def __call__(self, exchange: Exchange) -> None:
        posted = exchange.posted
        id = posted.headers["webhook-id"]
        with self._lock:
            self.bodies.setdefault(id, set()).add(posted.body)
            mood = self._random.randrange(16)
            if mood >= 4:
                # As a receiver does that remembers ids.
                self.taken.setdefault(id, posted.event)
        match mood:
            case 0 | 4:
                hang_up(exchange)
            case 1:
                answer(500)(exchange)
            case 2:
                answer(429, {"Retry-After": "0"})(exchange)
            case 3:
                answer(425)(exchange)
            case _:
                answer()(exchange)


def test_many_streams_in_one_lane_keep_their_order_and_lose_nothing() -> None:
    texts = {f"s{number}": "".join(f"{number}:{word} é\n" for word in range(20)) for number in range(20)}
    with Receiver(moody := Moody(11)) as receiver, Fan(close_timeout=PATIENCE * 2) as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(linger=0.0, max_bytes=400, max_elapsed=30.0))
        streams = {id: fan.open(id=id) for id in texts}
        for word in range(20):
            for id, stream in streams.items():
                stream.write(f"{id[1:]}:{word} é\n")
        for stream in streams.values():
            stream.end("stop")
    report = fan.report.sinks[0]

    assert read(moody.taken.values()) == texts
    assert all(len(bodies) == 1 for bodies in moody.bodies.values())
    assert (report.complete, report.lost) == (len(texts), 0)
    assert report.retries > 10


def test_stream_that_waits_for_its_next_try_holds_no_other_up(receiver: Receiver) -> None:
    def reply(exchange: Exchange) -> None:
        busy = exchange.posted.event["stream"] == "busy" and exchange.posted.event["type"] == "text"
        answer(503, {"Retry-After": "3600"})(exchange) if busy else answer()(exchange)

    with Receiver(reply) as moody:
        with Fan(close_timeout=0.5) as fan:
            fan.add(WebhookSink(moody.url), lane=LaneOptions(linger=0.0))
            busy, other = fan.open(id="busy"), fan.open(id="other")
            busy.write("text")
            moody.wait_for(3)
            for number in range(5):
                other.write(f"{number} ")
                moody.wait_for(4 + number)
            other.end("stop")
            busy.end("stop")

        assert read(event for event in moody.events if event["stream"] == "other") == {"other": "0 1 2 3 4 "}
        assert [event["type"] for event in moody.events if event["stream"] == "busy"][:2] == ["start", "text"]


@pytest.mark.guarantee("webhook", "raising")
def test_gone_receiver_fails_every_stream_and_the_later_ones_unasked(receiver: Receiver) -> None:
    receiver.script(answer(), answer(), answer(410, body=b"unsubscribed"))
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(linger=0.0))
        first, second = fan.open(id="first"), fan.open(id="second")
        receiver.wait_for(2)
        first.write("text")
        receiver.wait_for(3)
        second.write("text")
        first.end("stop")
        second.end("stop")
        with fan.open(id="later") as later:
            later.write("text")
    report = fan.report

    assert len(receiver.posted) == 3
    assert (report.sinks[0].streams, report.sinks[0].complete) == (3, 0)
    assert all("410 Gone: 'unsubscribed'" in str(one.deliveries[0].error) for one in report.streams)


def test_absurd_wait_costs_no_text(receiver: Receiver) -> None:
    receiver.script(answer(), answer(503, {"Retry-After": "999999999"}))
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(linger=0.0, max_elapsed=0.5))
        with fan.open(id="s") as stream:
            stream.write("text")

    assert read(receiver.events[2:]) == {"s": "text"}
    assert fan.report.sinks[0].complete == 1
