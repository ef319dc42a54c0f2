"""Somebody who listens to subjects while things are published there."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import nats

from tests.support.server import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nats.aio.msg import Msg

T = TypeVar("T")


class Listener:
    """Hears all that is published below a prefix, from the time it is made; on a thread of its own."""

    def __init__(self, url: str, prefix: str) -> None:
        self._heard: dict[str, list[bytes]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = self._run(nats.connect(url))
        self._run(self._client.subscribe(f"{prefix}.>", cb=self._hear))
        self._run(self._client.flush())

    def heard(self, subject: str) -> list[bytes]:
        """All that has come so far on a subject."""
        # The server passes on in order, so what was published before has come when the answer has.
        self._run(self._client.flush())
        self._run(asyncio.sleep(0.01))
        return list(self._heard.get(subject, []))

    def close(self) -> None:
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _hear(self, message: Msg) -> None:
        self._heard.setdefault(message.subject, []).append(message.data)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)
