from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from tests.support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.webhooks import Make


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def make(receiver: Receiver) -> Iterator[Make]:
    sinks = []

    def make(url: str | None = None, **options: object) -> WebhookSink:
        sink = WebhookSink(url or receiver.url, WebhookOptions.model_validate(options))
        sinks.append(sink)
        sink.connect()
        return sink

    yield make
    for sink in sinks:
        sink.disconnect()
