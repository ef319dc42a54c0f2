"""The contract kit on the webhook sink, with a receiver that knows nothing of streamfan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.events import decode
from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from streamfan.testing import LoseReply, MakeSink, Received, SinkContract
from tests.support.receiver import Receiver, hang_up
from tests.support.webhooks import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestWebhook(SinkContract):
    """Every request is signed."""

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with Receiver() as receiver:
            yield receiver

    @pytest.fixture
    def sink(self, receiver: Receiver) -> MakeSink:
        return lambda: WebhookSink(receiver.url, WebhookOptions.model_validate({"secret": KEY}))

    @pytest.fixture
    def received(self, receiver: Receiver) -> Received:
        return lambda stream: [decode(posted.body) for posted in receiver.posted]

    @pytest.fixture
    def lose_reply(self, receiver: Receiver) -> LoseReply:
        return lambda: receiver.script(hang_up)
