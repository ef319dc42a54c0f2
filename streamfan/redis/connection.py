"""One connection to Redis that never comes back by itself.

The clients of redis-py reconnect and repeat on their own: a lost reply then stores an entry twice, and a server that
came back empty takes the next entry and leaves a hole. This connection is used until it breaks, and no longer: whoever
makes the next one asks first what the server holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from streamfan.errors import ConfigError, Permanent, SinkError
from streamfan.redis.errors import Elsewhere, NotRedis, Refused, Unreachable, sorted_error
from streamfan.redis.query import FILES, IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamfan.redis.address import Address

Argument = str | bytes | int
Command = tuple[Argument, ...]
T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds that a server has for an answer, unless the URL says otherwise."""

# The first version whose clusters have channels that belong to slots.
_SHARDED_SINCE = 7


class RawConnection:
    """A connection to the server at `address`, made by the constructor and used until it breaks.

    For one thread. Every method raises a `SinkError`, also for what redis-py raises.

    Args:
        credentials: `username` and `password`, where the URL's are not to be used.
        timeout: Seconds that the server has for an answer.

    Attributes:
        lost: Why it cannot be used any more, where that was an error.

    Raises:
        ConfigError: The URL has an option that redis-py does not know, or names a file that cannot be read.
    """

    def __init__(
        self, address: Address, credentials: Mapping[str, str] | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        # Looked up here: an import with each call would take longer than making the command.
        from redis.exceptions import RedisError, ResponseError

        self.address = address
        self.lost: SinkError | None = None
        self._failures: tuple[type[Exception], ...] = (RedisError, OSError)
        self._refusal: type[Exception] = ResponseError
        self._connection = _make(address, credentials or {}, timeout)
        self._call(self._connection.connect)

    @property
    def alive(self) -> bool:
        """Whether it can still be used; once False, always False."""
        return bool(self._connection.is_connected)

    def close(self) -> None:
        """Hang up; never raises."""
        self._connection.disconnect()

    def _send(self, commands: Iterable[Command]) -> None:
        if not self.alive:
            # redis-py would connect again.
            raise Unreachable(f"Redis at {self.address}: the connection was lost")
        self._connection.send_packed_command(self._connection.pack_commands(commands))

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except self._failures as error:
            raise self._lose(sorted_error(error, self.address)) from None
        except UnicodeEncodeError:
            # It holds what was to be sent, and that may be a password.
            raise self._lose(Permanent(f"Redis at {self.address}: what was to be sent is no UTF-8")) from None
        except ValueError as error:
            raise self._lose(NotRedis(f"Redis at {self.address}: a malformed answer: {type(error).__name__}")) from None
        except BaseException:
            self.close()
            raise

    def _lose(self, error: SinkError) -> SinkError:
        self.close()
        self.lost = error
        return error


class Connection(RawConnection):
    """A connection for commands and their answers.

    Args:
        scripts: Whether to find out if there are scripts.

    Attributes:
        scripts: Whether the server runs Lua scripts for this user, as far as was to be found out.
        clustered: Whether the server is one of a Redis Cluster.
        sharded: Whether it has channels that belong to a slot, as a key does; a cluster of Redis 7 or later.
    """

    def __init__(
        self,
        address: Address,
        credentials: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT,
        scripts: bool = False,
    ) -> None:
        super().__init__(address, credentials, timeout=timeout)
        # One round trip. HELLO is allowed to whoever has logged in, and PING tells best that this is still to be done.
        evaluating: tuple[Command, ...] = (("EVAL", "return 1", 0),) if scripts else ()
        _, hello, *evaluated = self._call(lambda: self._exchange((("PING",), ("HELLO",), *evaluating)))
        said = dict(zip(hello[::2], hello[1::2], strict=True)) if self._granted(hello) else {}
        self.scripts = scripts and self._granted(*evaluated)
        self.clustered = said.get(b"mode") == b"cluster"
        major: bytes = said.get(b"version", b"").partition(b".")[0]
        self.sharded = self.clustered and major.isdigit() and int(major) >= _SHARDED_SINCE
        if not said or self.scripts < scripts:
            # fakeredis hangs up after every error. Nothing has been stored yet, so nobody need be told.
            self.close()
            self._call(self._connection.connect)

    @property
    def publish(self) -> str:
        """The command that publishes on a channel, in a cluster only at the server that has its slot."""
        return "SPUBLISH" if self.sharded else "PUBLISH"

    def command(self, *arguments: Argument) -> Any:
        """Send one command and return its answer, as RESP2 has it."""
        return self.pipeline(arguments)[0]

    def pipeline(self, *commands: Command) -> list[Any]:
        """Send all commands at once and return their answers; one that is refused does not stop the others."""
        answers = self.answers(*commands)
        for answer in answers:
            if isinstance(answer, SinkError):
                raise answer
        return answers

    def answers(self, *commands: Command) -> list[Any]:
        """The same as `pipeline`, with the error that each refused command has met in the place of its answer."""
        return [self._understood(answer) for answer in self._call(lambda: self._exchange(commands))]

    def _understood(self, answer: Any) -> Any:
        if isinstance(answer, list):
            # That of EXEC has an answer for each command.
            return [self._understood(part) if isinstance(part, Exception) else part for part in answer]
        if not isinstance(answer, Exception):
            return answer
        error = sorted_error(answer, self.address)
        return self._lose(error) if isinstance(error, Elsewhere) else error

    def _exchange(self, commands: tuple[Command, ...]) -> list[Any]:
        self._send(commands)
        return [self._answer() for _ in commands]

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except self._refusal as error:
            return error

    def _granted(self, answer: Any) -> bool:
        if not isinstance(answer, Exception):
            return True
        error = sorted_error(answer, self.address)
        if isinstance(error, Refused):
            return False
        raise self._lose(error) from None


def _make(address: Address, credentials: Mapping[str, str], timeout: float) -> Any:
    from redis.connection import Connection, parse_url
    from redis.exceptions import RedisError

    try:
        options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        options |= parse_url(address.url)  # type: ignore[no-untyped-call]  # redis-py gives it no types
        options |= credentials
        for name in IGNORED:
            options.pop(name, None)
        options["protocol"] = 2
        _check_files(options)
        return options.pop("connection_class", Connection)(**options)
    except (RedisError, TypeError, ValueError) as error:
        raise ConfigError(f"Redis at {address}: its URL has an option that cannot be used: {error}") from None
    except OSError as error:
        # Redis-py opens files of its own for it, and a process may have too many.
        raise sorted_error(error, address) from None


def _check_files(options: Mapping[str, Any]) -> None:
    """Refuse with a ValueError a file that is not there: the error that redis-py meets does not say which it is."""
    for name in FILES:
        if name in options:
            try:
                Path(options[name]).open("rb").close()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
                raise ValueError(f"{name}: {error}") from None


def milliseconds(seconds: float) -> int:
    """As Redis takes a time."""
    return int(seconds * 1000)
