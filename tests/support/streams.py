"""Streams without a fan, for tests of what is below one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamfan.attempts import next_attempt
from streamfan.dispatcher import Dispatcher
from streamfan.events import StreamInfo, now
from streamfan.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator


def info(id: str = "s") -> StreamInfo:
    """The identity of some stream."""
    return StreamInfo(id=id, attempt=next_attempt(), writer="w", time=now())


@contextmanager
def dispatching() -> Iterator[Dispatcher]:
    """A dispatcher that runs."""
    dispatcher = Dispatcher()
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()


def silent_stream(id: str = "s", *, again: bool = False) -> Stream:
    """A stream whose news nobody hears."""
    return Stream(info(id), Dispatcher(), again=again)
