"""Subscribers at work: each reads a stream to its end, and keeps what it got."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Literal, Self

from streamfan.errors import StreamfanError
from streamfan.subscriber import AsyncSubscription, asubscribe, subscribe
from tests.support.redis_server import PATIENCE
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from streamfan.events import End

Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")


class Follower:
    """Reads a stream in a thread of its own, with `subscribe` or in an event loop with `asubscribe`.

    Args:
        resuming: Errors after which it goes on.
        options: For `subscribe`.

    Attributes:
        text: What it got so far.
        errors: What was raised, in order; the last one has ended it unless it goes on after such.
    """

    def __init__(
        self,
        url: str,
        stream: str = "s",
        kind: Kind = "sync",
        resuming: tuple[type[StreamfanError], ...] = (),
        **options: Any,
    ) -> None:
        self.text = ""
        self.errors: list[StreamfanError] = []
        self._resuming = resuming
        self._closed = False
        options.setdefault("wait", PATIENCE)
        self._subscription = (subscribe if kind == "sync" else asubscribe)(url, stream, **options)
        # daemon: one that hangs fails its test, and not those that follow.
        self._thread = threading.Thread(target=self._run, name=f"follower-{kind}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether it reads no more."""
        return not self._thread.is_alive()

    @property
    def outcome(self) -> End | None:
        """The end event, if it has got there."""
        return self._subscription.outcome

    def wait_for(self, text: str) -> None:
        """Wait until it has read that far."""
        wait_until(lambda: self.over or self.text.endswith(text))
        assert self.text.endswith(text), (self.text[-80:], self.errors)

    def join(self, timeout: float = PATIENCE) -> str:
        """Wait for its end; what it got."""
        self._thread.join(timeout)
        assert self.over, f"it has not ended, after {len(self.text):,} characters"
        return self.text

    def close(self) -> None:
        """Have it read no more."""
        self._subscription.close()

    def _run(self) -> None:
        while True:
            try:
                self._read()
                return
            except StreamfanError as error:
                self.errors.append(error)
                if not isinstance(error, self._resuming):
                    return

    def _read(self) -> None:
        if isinstance(self._subscription, AsyncSubscription):
            asyncio.run(self._read_async(self._subscription))
        else:
            for text in self._subscription:
                self.text += text

    async def _read_async(self, subscription: AsyncSubscription[str]) -> None:
        async for text in subscription:
            self.text += text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
