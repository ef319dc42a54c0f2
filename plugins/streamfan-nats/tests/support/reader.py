"""A reader as somebody would write it who has nats-py and a page about the events, and nothing of streamfan."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import nats

Message = dict[str, Any]


def messages(url: str, subject: str, stream: str = "STREAMFAN") -> list[bytes]:
    """All that JetStream holds of a subject, in its order."""

    async def read() -> list[bytes]:
        found: list[bytes] = []
        async with await nats.connect(url.split(",")) as client:
            jetstream = client.jetstream()
            count = (await jetstream.stream_info(stream, subjects_filter=subject)).state.subjects or {}
            consumer = await jetstream.subscribe(subject, stream=stream, ordered_consumer=True)
            while len(found) < count.get(subject, 0):
                found.append((await consumer.next_msg(timeout=30)).data)
        return found

    return asyncio.run(read())


def events(url: str, subject: str) -> list[Message]:
    """The same, as JSON."""
    return [json.loads(message) for message in messages(url, subject)]


def text(url: str, subject: str) -> str:
    """The newest attempt's text, of which everything is proven: no event twice, no gap, the end's offset and sha256."""
    all_ = events(url, subject)
    newest = max(event["attempt"] for event in all_)
    start, *pieces, end = [event for event in all_ if event["attempt"] == newest]
    assert start["type"] == "start"
    data = b""
    for piece in pieces:
        assert (piece["type"], piece["offset"]) == ("text", len(data))
        data += piece["text"].encode()
        assert piece["end"] == len(data)
    assert (end["type"], end["offset"], end["complete"]) == ("end", len(data), True)
    assert end["sha256"] == hashlib.sha256(data).hexdigest()
    return data.decode()
