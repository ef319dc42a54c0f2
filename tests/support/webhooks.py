"""What the tests of the webhook sink have in common."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from streamfan.sinks.webhook import WebhookSink

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()

Make = Callable[..., WebhookSink]
"""Makes a connected sink: `make(url, **options)`, where the URL is that of the test's receiver unless given."""


def read(events: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The text of each stream, as a reader has it who keeps one number for each; a hole is a failure."""
    texts: dict[str, bytes] = {}
    for event in events:
        text = texts.setdefault(event["stream"], b"")
        if event["type"] == "text":
            assert event["offset"] <= len(text), f"a hole before {event}"
            texts[event["stream"]] = text + event["text"].encode()[len(text) - event["offset"] :]
        elif event["type"] == "end":
            assert event["offset"] == len(text)
            assert event["sha256"] == hashlib.sha256(text).hexdigest()
    return {stream: text.decode() for stream, text in texts.items()}
