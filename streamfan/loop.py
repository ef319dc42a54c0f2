"""An asyncio event loop in a thread of its own, for whoever calls coroutines from code that is not asynchronous."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from streamfan.forks import leave_child

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
log = logging.getLogger("streamfan.loop")


class LoopThread:
    """A running event loop; it goes on between calls, until it is stopped.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        # With a factory, or it would become the event loop of the calling thread.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        # What asyncio does instead is to print a traceback.
        self._loop.set_exception_handler(_note)
        self._process = os.getpid()
        self._stopping = False
        # daemon: a client library that does not stop must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end: return what it returns, raise what it raises, SystemExit too."""
        return asyncio.run_coroutine_threadsafe(self._ended(coroutine), self._loop).result()

    def stop(self) -> None:
        """Cancel what still runs, wait for that, and end the thread; to be called once, and not beside `run`."""
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _ended(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            returned = await coroutine
        except BaseException as error:
            leave_child(self._process, error)
            raise
        leave_child(self._process)
        return returned

    def _serve(self) -> None:
        while not self._stopping:
            # asyncio lets these two out of the loop, after the task has taken note of them. Whoever waits for the task
            # is told by the loop, so it goes on.
            with suppress(KeyboardInterrupt, SystemExit):
                self._loop.run_forever()
        with suppress(KeyboardInterrupt, SystemExit):
            self._runner.close()


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong where nobody waits for it: in a callback, or in a task of a client library."""
    error = context.get("exception")
    log.debug("%s", context["message"], exc_info=error)
    # The first line: the rest shows objects.
    log.warning("%s%s", str(context["message"]).partition("\n")[0], f": {error!r}" if error is not None else "")
