"""What goes wrong between a program and its Redis, by what is to be done about it.

SinkError
├── Retryable
│   ├── Unreachable
│   │   └── NobodyThere
│   └── Elsewhere
│       └── Moved
└── Permanent
├── NotRedis
└── Refused
    └── OtherType
"""

from __future__ import annotations

import re
import ssl
from errno import EADDRNOTAVAIL, ECONNREFUSED
from typing import TYPE_CHECKING

from streamfan.errors import Permanent, Retryable

if TYPE_CHECKING:
    from streamfan.errors import SinkError
    from streamfan.redis.address import Address

# Answers of a server in trouble that may pass, of those that redis-py has no class for.
_PASSING_CODES = ("BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE")


class Unreachable(Retryable):
    """Nobody answered, or nobody answers any more."""


class NobodyThere(Unreachable):
    """Nobody listens at the address: no server that is slow, or has too much to do."""


class Elsewhere(Retryable):
    """Not from this server, or not now: the connection is closed, and whoever makes the next one asks where to."""


class Moved(Elsewhere):
    """Another server of the cluster has the key; the one that was asked knows which."""


class NotRedis(Permanent):
    """What answers there does not speak Redis's protocol."""


class Refused(Permanent):
    """The server has answered with an error."""


class OtherType(Refused):
    """The key holds a value of another type than the command is for."""


def sorted_error(error: Exception, address: Address) -> SinkError:
    """What redis-py has raised, as the class that says what comes next."""
    from redis import exceptions as redis

    # The server repeats the arguments of a command it does not know: text of the stream, or a password.
    text = re.sub(r",? with args beginning with:.*", "", str(error), flags=re.DOTALL).rstrip(".")
    message = f"Redis at {address}: {text}"
    match error:
        case redis.AuthenticationError() | redis.AuthorizationError():
            return Permanent(
                f"{message}\nTry: USER:PASSWORD@ in the URL, or for a sink its options 'username' and 'password'"
            )
        case redis.MovedError() as moved:
            return Moved(f"Redis at {address}: slot {moved.slot_id} is at {moved.host}:{moved.port} now")
        case redis.ReadOnlyError() | redis.ClusterDownError():
            return Elsewhere(message)
        case redis.AskError() as moving:
            return Retryable(f"Redis at {address}: slot {moving.slot_id} is on its way to {moving.host}:{moving.port}")
        case redis.TryAgainError() | redis.OutOfMemoryError() | redis.BusyLoadingError():
            return Retryable(message)
        case redis.ResponseError() if text.startswith("WRONGTYPE"):
            return OtherType(message)
        case redis.ResponseError():
            return Retryable(message) if text.startswith(_PASSING_CODES) else Refused(message)
        case redis.InvalidResponse():
            return NotRedis(message)
        case redis.ConnectionError() if isinstance(error.__context__, ssl.SSLCertVerificationError):
            return Permanent(message)
    return (NobodyThere if _was_refused(error.__context__) else Unreachable)(message)


def _was_refused(cause: BaseException | None) -> bool:
    # A name may stand for several addresses, of which the last may be of a protocol that this machine does not have.
    return isinstance(cause, OSError) and cause.errno in {ECONNREFUSED, EADDRNOTAVAIL}
