"""Stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.redis.connection import TIMEOUT, Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamfan.redis.address import Address


class Servers:
    def __init__(
        self, address: Address, credentials: Mapping[str, str] | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        self.address = address
        self._credentials = credentials
        self._timeout = timeout
        self._connection: Connection | None = None

    @property
    def clustered(self) -> bool:
        return False

    def home(self, key: str) -> Address:
        return self.address

    def at(self, key: str) -> Connection:
        if self._connection is None or not self._connection.alive:
            self._connection = Connection(self.address, self._credentials, timeout=self._timeout)
        return self._connection

    def forget(self) -> None:
        pass

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
