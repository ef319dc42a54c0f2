"""What those who read are told where a connection would raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.errors import MissingExtra, Retryable, ServerRefused, ServerUnreachable

if TYPE_CHECKING:
    from streamfan.errors import ServerError, SinkError


def check_client(what: str) -> None:
    """Refuse to go on without redis-py.

    Args:
        what: What needs it, as the user knows it.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import redis  # noqa: F401 - only whether it is there
    except ImportError:
        raise MissingExtra(what, "redis", "redis") from None


def told(error: SinkError) -> ServerError:
    """An error of a connection, for those who have no sink."""
    return (ServerUnreachable if isinstance(error, Retryable) else ServerRefused)(str(error))
