"""A program that publishes a stream through a fan, as others do."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from streamfan import Fan, LaneOptions
from tests.support.server import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamfan import Report, Sink

EAGER = LaneOptions(linger=0.0, max_bytes=64)
"""Makes many events of a text."""

WORDS = [f"{word} {number} 🦊\n" for number in range(30) for word in ("día", "日本", "once", "upon")]


@dataclass(frozen=True, slots=True)
class Published:
    """A stream that has ended, and what was said of it."""

    id: str
    text: str
    report: Report

    @property
    def subject(self) -> str:
        return f"streamfan.{self.id}"


def publish(
    *sinks: Sink, words: Iterable[str] = WORDS, pause: float = 0.0, lane: LaneOptions = EAGER, on_word: On = None
) -> Published:
    """Publish `words` as one stream, and wait until it is delivered or given up.

    Args:
        pause: Seconds between two words.
        on_word: Called before each word is written, with its number and the stream's subject.
    """
    text, waiting = "", threading.Event()
    with Fan(close_timeout=2 * PATIENCE) as fan:
        for number, sink in enumerate(sinks):
            fan.add(sink, id=f"nats{number}", lane=lane)
        with fan.open() as stream:
            for number, word in enumerate(words):
                if on_word is not None:
                    on_word(number, f"streamfan.{stream.id}")
                stream.write(word)
                text += word
                waiting.wait(pause)
    return Published(stream.id, text, fan.report)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for `condition` to come true."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.01)


if TYPE_CHECKING:
    On = Callable[[int, str], None] | None
