"""A stream in Redis, written by the real sink one step after the other, for tests of those who read it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import redis

from streamfan.redis.lease import Control, Lease
from streamfan.redis.names import Names
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.deliveries import chunks, ending
from tests.support.redis_server import PATIENCE
from tests.support.sinks import wait_until
from tests.support.streams import info

if TYPE_CHECKING:
    from types import TracebackType

    from streamfan.events import End


class Producer:
    """Writes one stream; it has begun when this is made.

    Args:
        url: The Redis.
        options: Those of the sink.

    Attributes:
        text: What was written.
        names: The stream's keys.
        client: For what a producer would not do.
    """

    def __init__(
        self, url: str, stream: str = "s", *, attempt: int | None = None, model: str | None = None, **options: object
    ) -> None:
        made = replace(info(stream), model=model)
        self.info = made if attempt is None else replace(made, attempt=attempt)
        self.text = ""
        self._sink = RedisSink(url, RedisOptions.model_validate(options))
        self._sink.connect()
        self._sink.open(self.info)
        self.names = Names(self._sink.options.prefix, stream)
        self.client: Any = redis.Redis.from_url(url)

    def write(self, *texts: str) -> None:
        """Append texts, each as an event of its own."""
        for text in texts:
            before, self.text = self.text, self.text + text
            self._sink.write(chunks(self.info, *filter(None, [before, text]))[-1])

    def end(self, **changes: Any) -> End:
        """End it, as the end of what was written unless something is changed."""
        end = replace(ending(self.info, self.text), **changes)
        self._sink.close(self.info, end)
        return end

    def say(self, data: bytes) -> None:
        """Publish something on the stream's channel."""
        self.client.publish(self.names.live, data)

    def show_life(self, seconds: float, *, control: Control = "off") -> None:
        """Say for how long its sign of life holds, and from whom it hears requests; it is not renewed."""
        attempt, writer = self.info.attempt, self.info.writer
        lease = Lease(attempt=attempt, writer=writer, seconds=seconds, control=control)
        self.client.delete(self.names.attempt)
        self.client.xadd(self.names.attempt, {"writer": writer, "lease": seconds}, id=f"{attempt}-0")
        self.client.set(self.names.lease, lease.encode(), px=int(seconds * 1000))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up, whether or not the stream has ended."""
        self._sink.disconnect()
        self.client.close()


Produce = Callable[..., Producer]
"""Begins streams: `produce(url, stream, **options)`."""


class Background:
    """A call that waits, in a thread; what it has returned, or raised, comes from `result`."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = (self._call(), None)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it again
            self._outcome = (None, error)

    @property
    def waits(self) -> bool:
        """Whether it has not returned."""
        return self._thread.is_alive()

    def result(self) -> Any:
        """Wait for what it returns."""
        self._thread.join(PATIENCE)
        assert self._outcome is not None, "it has not returned"
        value, error = self._outcome
        if error is not None:
            raise error
        return value


def wait_for_listeners(client: Any, channel: str, count: int = 1) -> None:
    """Wait until so many connections listen to a channel."""
    wait_until(lambda: client.pubsub_numsub(channel)[0][1] >= count)
