"""What the tests of the Redis sink have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamfan.redis.connection import Connection
from streamfan.sinks.redis import RedisSink

if TYPE_CHECKING:
    import pytest

    from streamfan.redis.connection import Command

Make = Callable[..., RedisSink]
"""Makes a connected sink: `make(url, **options)`, where the URL is that of the test's server unless given."""

SECRET = "s3cr3t@/?#"
"""A password that a URL must not hold as it is."""

QUOTED = "s3cr3t%40%2F%3F%23"
"""The same, as a URL holds it."""


def log_of(client: Any, stream: str = "s") -> list[tuple[str, dict[str, Any]]]:
    """The entries of a stream's log, each with its id and its event, read the way any other program would."""
    return [(id, json.loads(fields["event"])) for id, fields in client.xrange(f"streamfan:{{{stream}}}:log")]


def between(monkeypatch: pytest.MonkeyPatch, trips: int, do: Callable[[], object]) -> None:
    """Have something done once, by somebody else, after so many round trips of whatever connection, before the next."""
    exchange, left = Connection.answers, [trips]

    def answers(connection: Connection, *commands: Command) -> list[Any]:
        left[0] -= 1
        if left[0] == -1:
            do()
        return exchange(connection, *commands)

    monkeypatch.setattr(Connection, "answers", answers)


def text_of(client: Any, stream: str = "s") -> str:
    """The text that a reader of the log has; fails if there is a gap, or anything twice."""
    text = ""
    for _, event in log_of(client, stream):
        if event["type"] == "text":
            assert event["offset"] == len(text.encode()), event
            text += event["text"]
    return text
