"""One connection to Redis that never comes back by itself.

The clients of redis-py reconnect and repeat on their own: a lost reply then stores an entry twice, and a server that
came back empty takes the next entry and leaves a hole. This connection is used until it breaks, and no longer: whoever
makes the next one asks first what the server holds.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any

from streamfan.errors import ConfigError, Permanent, Retryable, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamfan.redis.address import Address

Argument = str | bytes | int

TIMEOUT = 5.0
"""Seconds that a server has for an answer, unless the URL says otherwise."""

# Answers of a server in trouble that may pass, of those that redis-py has no class for.
_PASSING_CODES = ("BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE")
# What a URL may say that is also meant for others: how a pool of connections works, what is repeated, what is decoded.
_IGNORED = ("max_connections", "timeout", "retry_on_timeout", "retry_on_error", "decode_responses")


class Unreachable(Retryable):
    """Nobody answered, or nobody answers any more."""


class NotRedis(Permanent):
    """What answers there does not speak Redis's protocol."""


class Refused(Permanent):
    """The server has answered with an error."""


class Connection:
    """A connection to the server at `address`, made by the constructor.

    For one thread. Every method raises a `SinkError`, also for what redis-py raises.

    Args:
        credentials: `username` and `password`, where the URL's are not to be used.
        timeout: Seconds that the server has for an answer.

    Attributes:
        scripts: Whether the server runs Lua scripts for this user.

    Raises:
        ConfigError: The URL has an option that redis-py does not know.
    """

    def __init__(
        self, address: Address, credentials: Mapping[str, str] | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        self.address = address
        self._connection = _make(address, credentials or {}, timeout)
        self._call(self._connection.connect)
        self.scripts = self._runs_scripts()
        if not self.scripts:
            # fakeredis hangs up after every error. Nothing has been stored yet, so nobody need be told.
            self.close()
            self._call(self._connection.connect)

    @property
    def alive(self) -> bool:
        """Whether it can still be used; once False, always False."""
        return bool(self._connection.is_connected)

    def command(self, *arguments: Argument) -> Any:
        """Send one command and return its answer, as RESP2 has it."""
        return self.pipeline(arguments)[0]

    def pipeline(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Send all commands at once and return their answers; one that is refused does not stop the others."""
        answers = self.answers(*commands)
        for answer in answers:
            if isinstance(answer, SinkError):
                raise answer
        return answers

    def answers(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """The same as `pipeline`, with the error that each refused command has met in the place of its answer."""
        if not self.alive:
            raise Unreachable(f"Redis at {self.address}: the connection was lost")
        answers: list[Any] = self._call(lambda: self._exchange(commands))
        return [sorted_error(answer, self.address) if isinstance(answer, Exception) else answer for answer in answers]

    def close(self) -> None:
        """Hang up; never raises."""
        self._connection.disconnect()

    def _exchange(self, commands: tuple[tuple[Argument, ...], ...]) -> list[Any]:
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        return [self._answer() for _ in commands]

    def _answer(self) -> Any:
        from redis.exceptions import ResponseError

        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error

    def _call(self, call: Callable[[], Any]) -> Any:
        from redis.exceptions import RedisError

        try:
            return call()
        except (RedisError, OSError) as error:
            self.close()
            raise sorted_error(error, self.address) from None
        except BaseException:
            self.close()
            raise

    def _runs_scripts(self) -> bool:
        try:
            self.command("EVAL", "return 1", 0)
        except Refused:
            return False
        return True


def _make(address: Address, credentials: Mapping[str, str], timeout: float) -> Any:
    from redis.connection import Connection, parse_url
    from redis.exceptions import RedisError

    try:
        options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
        options |= parse_url(address.url)  # type: ignore[no-untyped-call]
        options |= credentials
        for name in _IGNORED:
            options.pop(name, None)
        return options.pop("connection_class", Connection)(**options)
    except (RedisError, TypeError, ValueError) as error:
        raise ConfigError(f"Redis at {address}: its URL has an option that cannot be used: {error}") from None


def sorted_error(error: Exception, address: Address) -> SinkError:
    """What redis-py has raised, as the class that says what comes next."""
    from redis import exceptions as redis

    # The server repeats the arguments of a command it does not know: text of the stream, or a password.
    text = re.sub(r",? with args beginning with:.*", "", str(error), flags=re.DOTALL).rstrip(".")
    message = f"Redis at {address}: {text}"
    match error:
        case redis.AuthenticationError() | redis.AuthorizationError():
            return Permanent(f"{message}\nTry: USER:PASSWORD@ in the URL, or the options 'username' and 'password'")
        case redis.AskError() | redis.ClusterCrossSlotError():
            return Permanent(f"{message}\nIt is a node of a Redis Cluster, and this needs a Redis without cluster mode")
        case redis.ReadOnlyError() | redis.OutOfMemoryError() | redis.BusyLoadingError():
            return Retryable(message)
        case redis.ClusterDownError() | redis.TryAgainError():
            return Retryable(message)
        case redis.ResponseError():
            return Retryable(message) if text.startswith(_PASSING_CODES) else Refused(message)
        case redis.InvalidResponse():
            return NotRedis(message)
        case redis.ConnectionError() if isinstance(error.__context__, ssl.SSLCertVerificationError):
            return Permanent(message)
    return Unreachable(message)
