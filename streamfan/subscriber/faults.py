"""What those who read are told where a connection would raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.errors import Retryable, ServerRefused, ServerUnreachable

if TYPE_CHECKING:
    from streamfan.errors import ServerError, SinkError


def told(error: SinkError) -> ServerError:
    """An error of a connection, for those who have no sink."""
    return (ServerUnreachable if isinstance(error, Retryable) else ServerRefused)(str(error))
