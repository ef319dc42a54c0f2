"""What can happen to a webhook's receiver, beside what `../webhook` has of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from streamfan import Fan
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookSink
from tests.support.page_receiver import PageReceiver
from tests.support.receiver import Exchange, Receiver, answer
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Shell


@pytest.mark.guarantee("webhook", "slow")
def test_slow_receiver_is_waited_for_and_gets_what_came_meanwhile_as_one_piece() -> None:
    ready = threading.Event()

    def late(exchange: Exchange) -> None:
        ready.wait()
        answer()(exchange)

    with Receiver() as receiver:
        receiver.script(answer(), late)
        with Fan() as fan:
            fan.add(WebhookSink(receiver.url), lane=LaneOptions(linger=0.0))
            with fan.open() as stream:
                stream.write("first")
                receiver.wait_for(2)
                for number in range(100):
                    stream.write(f" {number}")
                # More than a busy machine brings about by itself.
                wait_until(lambda: fan.report.sinks[0].lag > 2.5)
                ready.set()

        texts = [event["text"] for event in receiver.events if event["type"] == "text"]
    assert texts == ["first", "".join(f" {number}" for number in range(100))]
    assert fan.report.sinks[0].complete == 1


@pytest.mark.guarantee("webhook", "refused")
def test_receiver_that_is_not_there_costs_no_generation(shell: Shell, tmp_path: Path) -> None:
    with PageReceiver(tmp_path) as receiver:
        receiver.kill()

        done = shell.stdin("text", "-s", receiver.url, "-o", "webhook.lane.connect_timeout=3")

    assert (done.code, done.stdout) == (4, b"")
    assert f"localhost:{receiver.port}" in done.stderr.splitlines()[-1]
