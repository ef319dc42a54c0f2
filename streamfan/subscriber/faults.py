"""What those who read are told where a connection would raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamfan.errors import Retryable, ServerRefused, ServerUnreachable, SinkError, WireError
from streamfan.redis.errors import OtherType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.errors import ServerError


def told(error: SinkError) -> ServerError:
    """An error of a connection, for those who have no sink."""
    return (ServerUnreachable if isinstance(error, Retryable) else ServerRefused)(str(error))


def refusal(error: SinkError, stream: str) -> ServerRefused | WireError:
    """An error that stands in the place of an answer; one that says that the connection is of no more use is raised."""
    if isinstance(error, Retryable):
        raise error
    if isinstance(error, OtherType):
        # The server has nothing against whoever asks.
        return WireError(f"stream {stream!r}: one of its keys is something else: {error}")
    return ServerRefused(str(error))


def check(answers: Iterable[Any], stream: str) -> None:
    """Raise the `refusal` that the first error among the answers is."""
    for answer in answers:
        if isinstance(answer, SinkError):
            raise refusal(answer, stream)
