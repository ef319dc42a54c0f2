"""Whether redis-py is there, without which nothing in this package connects."""

from __future__ import annotations

from streamfan.errors import MissingExtra


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
