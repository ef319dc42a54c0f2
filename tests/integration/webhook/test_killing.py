"""The receiver of docs/webhook.md, killed and cut off: every byte exactly once all the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from tests.support.fault_proxy import FaultProxy
from tests.support.page_receiver import PageReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamfan.report import SinkReport

# About forty bytes of text in each request: some fifteen requests for what is written in a round.
LANE = LaneOptions(linger=0.0, max_bytes=300, max_elapsed=30.0)
STREAMS = ("first", "second")
ROUNDS = 8


def part(stream: str, number: int) -> str:
    return "".join(f"{stream} {number}.{word} 😀é\n" for word in range(15))


def text_of(stream: str) -> str:
    return "".join(part(stream, number) for number in range(ROUNDS))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[PageReceiver]:
    with PageReceiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def proxy(receiver: PageReceiver) -> Iterator[FaultProxy]:
    with FaultProxy(receiver.port) as proxy:
        yield proxy


def deliver(
    receiver: PageReceiver,
    port: int,
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[int], object] = lambda _: None,
) -> SinkReport:
    """Deliver two streams through `port`, which must count as delivered in the end.

    Args:
        before: Called in each round before there is new text.
        after: Called in each round while the new text is on its way, with how many pieces the receiver held before.
    """
    sink = WebhookSink(f"http://localhost:{port}/", WebhookOptions.model_validate({"timeout": 2}))
    with Fan(close_timeout=40.0) as fan:
        fan.add(sink, lane=LANE)
        streams = [fan.open(id=id, attempt=7) for id in STREAMS]
        for number in range(ROUNDS):
            before()
            held = receiver.pieces
            for stream in streams:
                stream.write(part(stream.id, number))
            after(held)
        for stream in streams:
            stream.end("stop")
    fan.report.raise_for_failures()
    assert fan.report.sinks[0].complete == len(STREAMS)
    return fan.report.sinks[0]


def assert_everything_is_there_once(receiver: PageReceiver) -> None:
    assert {id: receiver.text(id) for id in STREAMS} == {id: text_of(id) for id in STREAMS}


@pytest.mark.guarantee("webhook", "killed")
def test_receiver_that_is_killed_again_and_again_has_every_byte_once(receiver: PageReceiver) -> None:
    chance = random.Random(7)

    def kill(held: int) -> None:
        receiver.wait_for(held + chance.randrange(1, 4))
        receiver.kill()
        receiver.start()

    report = deliver(receiver, receiver.port, after=kill)

    assert report.retries > 0
    assert_everything_is_there_once(receiver)


@pytest.mark.guarantee("webhook", "reset in the middle")
def test_answers_that_are_lost_double_nothing(receiver: PageReceiver, proxy: FaultProxy) -> None:
    chance = random.Random(8)

    report = deliver(
        receiver,
        proxy.port,
        before=lambda: proxy.lose_reply(chance.randrange(8)),
        # Which have been answered, but for the last: by then the reply was lost.
        after=lambda held: receiver.wait_for(held + 9),
    )

    assert report.retries >= 3
    assert_everything_is_there_once(receiver)


@pytest.mark.guarantee("webhook", "reset in the middle")
def test_requests_that_are_cut_in_the_middle_tear_nothing(receiver: PageReceiver, proxy: FaultProxy) -> None:
    chance = random.Random(9)

    report = deliver(
        receiver,
        proxy.port,
        before=lambda: proxy.cut_after(requests=chance.randrange(1500)),
        # None is smaller than 300 bytes.
        after=lambda held: receiver.wait_for(held + 5),
    )

    assert report.retries >= 3
    assert_everything_is_there_once(receiver)


def test_receiver_that_comes_back_with_an_older_state_is_given_the_rest(receiver: PageReceiver) -> None:
    chance = random.Random(10)

    def restore(held: int) -> None:
        receiver.wait_for(held + 3)
        receiver.kill()
        receiver.lose(chance.randrange(1, 8))
        receiver.start()

    deliver(receiver, receiver.port, after=restore)

    assert_everything_is_there_once(receiver)


def test_receiver_that_loses_text_before_the_end_is_given_it_again(receiver: PageReceiver) -> None:
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LANE)
        with fan.open(id="first", attempt=7) as stream:
            stream.write(part("first", 0))
            receiver.wait_until(lambda: receiver.text("first") == part("first", 0))
            receiver.kill()
            receiver.lose(2)
            receiver.start()

    fan.report.raise_for_failures()
    assert receiver.text("first") == part("first", 0)


def test_sender_that_is_started_again_with_the_same_text_doubles_nothing(receiver: PageReceiver) -> None:
    # What replaying a recording does: the same attempt, from its start, and cut in other places.
    with Fan() as fan:
        fan.add(WebhookSink(receiver.url), lane=LaneOptions(linger=0.0, max_bytes=310))
        with fan.open(id="first", attempt=7) as stream:
            stream.write(part("first", 0))

    report = deliver(receiver, receiver.port)

    assert report.retries > 0, "no piece lay across the place where the first sender stopped"
    assert_everything_is_there_once(receiver)
