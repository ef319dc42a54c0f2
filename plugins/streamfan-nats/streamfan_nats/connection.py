"""One connection to a NATS server, which never comes back: whoever uses the next one asks first what the server holds.

nats-py's own reconnecting is off. It would send again what it has in its buffer, and nobody could tell whether that has
arrived before, or lose it without a word.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from streamfan_nats.errors import sorted_error
from streamfan_nats.login import Login

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from streamfan_nats.address import Address
    from streamfan_nats.options import NatsOptions

log = logging.getLogger("streamfan.sinks.nats")
T = TypeVar("T")

_CONNECT_TIMEOUT = 3.0
# A disk that is slow to take an event is no reason to lose the connection.
_TIMEOUT = 5.0
# What a server that hangs may cost who has done with it.
_FAREWELL = 1.0


class Connection:
    """A connection; use `begin` once, and then whatever you like until it has failed.

    What goes wrong is a `SinkError`, and what was to be done may have happened nevertheless.

    Attributes:
        client: nats-py's; to be called within `answer`.
        jetstream: The same.
    """

    def __init__(self, address: Address, options: NatsOptions) -> None:
        from nats.aio.client import Client as NewClient

        self.client: Client = NewClient()
        self.jetstream: JetStreamContext
        self._address = address
        self._options = options
        self._trouble: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        """Whether nothing has gone wrong so far, as far as is known."""
        return not self._trouble.done() and self.client.is_connected

    async def begin(self) -> None:
        """Connect and log in."""
        from nats.errors import NoServersError

        try:
            login = Login(self._address, self._options)
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self.client.connect(
                    [self._address.url],
                    name="streamfan",
                    allow_reconnect=False,
                    # It may not be zero, which means without end.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    # Nothing stays in a buffer: nats-py would else send a PING before what was published before it.
                    pending_size=1,
                    error_cb=self._on_error,
                    closed_cb=self._on_close,
                    **login.arguments,
                )
            login.check()
        except Exception as error:
            # The first error says why, the last one that there is no other server.
            first = self._trouble.result() if isinstance(error, NoServersError) and self._trouble.done() else error
            raise sorted_error(first, self._address.url) from error
        # What has gone wrong before a try that has worked is over.
        self._trouble = asyncio.get_running_loop().create_future()
        self.jetstream = self.client.jetstream(timeout=_TIMEOUT)

    async def answer(self, call: Coroutine[Any, Any, T]) -> T:
        """What `call`, one of the client's, returns; fails as soon as the connection does, or after some seconds.

        Raises:
            nats.js.errors.NotFoundError: That is an answer too.
        """
        from nats.js.errors import APIError, NotFoundError

        task = asyncio.ensure_future(call)
        # nats-py swallows a cancellation where it writes, so it is not waited for.
        task.add_done_callback(_heard)
        either: set[asyncio.Future[Any]] = {task, self._trouble}
        try:
            await asyncio.wait(either, timeout=_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            # First: a refusal of what was published comes before the PONG that follows it.
            if self._trouble.done():
                raise self._trouble.result()
            if task.done() and not task.cancelled():
                return task.result()
            raise TimeoutError(f"no answer in {_TIMEOUT:g} s")
        except NotFoundError:
            raise
        except Exception as error:
            if not isinstance(error, APIError):
                self._note(error)
            raise sorted_error(error, self._address.url) from error
        finally:
            task.cancel()

    async def close(self) -> None:
        """Hang up; never raises because of the server."""
        try:
            async with asyncio.timeout(_FAREWELL):
                await self.client.close()
        except Exception as error:  # noqa: BLE001 - a client library's, and nobody needs this connection any more
            log.debug("NATS at %s: while hanging up: %r", self._address.url, error)

    async def _on_error(self, error: Exception) -> None:
        self._note(error)

    async def _on_close(self) -> None:
        from nats.errors import ConnectionClosedError

        self._note(ConnectionClosedError())

    def _note(self, error: Exception) -> None:
        if not self._trouble.done():
            self._trouble.set_result(error)


def _heard(task: asyncio.Future[Any]) -> None:
    """Take note of what came of a task, or asyncio would complain that nobody has."""
    if not task.cancelled():
        task.exception()
