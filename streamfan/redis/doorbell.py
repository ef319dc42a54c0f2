"""Stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from streamfan.redis.connection import TIMEOUT, Unreachable, _make, sorted_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.redis.address import Address


class Doorbell:
    def __init__(self, address: Address, credentials: Any = None, *, sharded: bool, timeout: float = TIMEOUT) -> None:
        self.address = address
        self._connection = _make(address, credentials or {}, timeout)
        self._try(self._connection.connect)

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except (RedisError, OSError) as error:
            self.close()
            raise sorted_error(error, self.address) from None

    def fileno(self) -> int:
        if self._connection._sock is None:
            raise Unreachable("lost")
        return int(self._connection._sock.fileno())

    @property
    def buffered(self) -> bool:
        return False

    def subscribe(self, *channels: str) -> None:
        self._try(lambda: self._connection.send_command("SUBSCRIBE", *channels, check_health=False))

    def unsubscribe(self, *channels: str) -> None:
        self._try(lambda: self._connection.send_command("UNSUBSCRIBE", *channels, check_health=False))

    def ping(self) -> None:
        self._try(lambda: self._connection.send_command("PING", check_health=False))

    def messages(self) -> Iterator[tuple[str, str, bytes]]:
        while self._try(lambda: self._connection.can_read(0)):
            answer = self._try(self._connection.read_response)
            if isinstance(answer, Exception):
                raise sorted_error(answer, self.address)
            kind = answer[0].decode()
            if kind == "subscribe":
                yield "subscribed", answer[1].decode(), b""
            elif kind == "message":
                yield "message", answer[1].decode(), answer[2]
            elif kind == "pong":
                yield "pong", "", b""

    @property
    def alive(self) -> bool:
        return bool(self._connection.is_connected)

    def close(self) -> None:
        self._connection.disconnect()
