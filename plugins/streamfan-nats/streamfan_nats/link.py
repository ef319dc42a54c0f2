"""The way to the servers: where they are, and the connection that leads to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan import Retryable
from streamfan_nats.address import addresses
from streamfan_nats.connection import Connection

if TYPE_CHECKING:
    from streamfan_nats.options import NatsOptions


class Link:
    """The way to one of the servers that `target` names, which belong to one cluster.

    Raises:
        ConfigError: The target names no servers.
    """

    def __init__(self, target: str | None, options: NatsOptions) -> None:
        self._addresses = addresses(target)
        self._options = options
        self._connection: Connection | None = None
        self._turn = 0

    def __str__(self) -> str:
        return ",".join(address.url for address in self._addresses)

    async def reach(self) -> Connection:
        """The connection; a new one if the last has failed."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        await self.close()
        for _ in self._addresses[1:]:
            try:
                return await self._connect()
            except Retryable:
                self._turn += 1
        try:
            return await self._connect()
        except Retryable:
            self._turn += 1
            raise

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self) -> Connection:
        connection = Connection(self._addresses[self._turn % len(self._addresses)], self._options)
        try:
            await connection.begin()
        except BaseException:
            # nats-py leaves the socket open.
            await connection.close()
            raise
        self._connection = connection
        return connection
