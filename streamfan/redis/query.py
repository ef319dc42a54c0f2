"""The options in a Redis URL's query, looked at before anything is connected."""

from __future__ import annotations

import codecs
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a URL may say that is meant for others: how a pool of connections works, what is repeated or decoded, what is
# sent between commands.
IGNORED = (
    *("max_connections", "timeout", "retry_on_timeout", "retry_on_error", "decode_responses"),
    "health_check_interval",
)
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Options that name a file, which is read when a connection is made."""
# What a URL can say; of the rest that redis-py knows, much cannot be written in one, and fails only when it is used.
_KNOWN = frozenset(
    (
        *IGNORED,
        *("db", "username", "password", "client_name", "protocol", "encoding", "encoding_errors"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size"),
        *FILES,
        *("ssl_ca_data", "ssl_ca_path", "ssl_password"),
        *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers"),
    )
)
# A socket takes no other timeouts.
_LONGEST = 10 * 365 * 86400.0
_RANGES = {
    "socket_timeout": (1e-6, _LONGEST),
    "socket_connect_timeout": (1e-6, _LONGEST),
    "socket_read_size": (1, inf),
}


def unusable_option(url: str) -> str | None:
    """The name of the first option in the query of `url` that no connection can be made with; None if there is none.

    The value is never repeated: it may be a password.
    """
    parts = urlsplit(url)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    with suppress(ImportError):
        # Without redis-py nobody knows its options, and nobody connects either.
        return next((name for name, value in options.items() if not _is_usable(parts.scheme, name, value)), None)
    return None


def _is_usable(scheme: str, name: str, value: str) -> bool:
    from redis.connection import Connection, parse_url
    from redis.exceptions import RedisError

    if name not in _KNOWN:
        return False
    try:
        options = parse_url(f"{scheme}://localhost/0?{urlencode({name: value})}")  # type: ignore[no-untyped-call]  # it has no types
        _check_values(options)
        for ignored in IGNORED:
            options.pop(ignored, None)
        # Made, but not connected.
        options.pop("connection_class", Connection)(**options)
    except (RedisError, LookupError, TypeError, ValueError):
        return False
    return True


def _check_values(options: Mapping[str, Any]) -> None:
    """Refuse with a ValueError or LookupError what redis-py only meets when it connects."""
    for name, (least, most) in _RANGES.items():
        if name in options and not least <= options[name] <= most:
            raise ValueError(name)
    if codecs.lookup(options.get("encoding", "utf-8")).name != "utf-8":
        # Keys and texts are UTF-8 for all who read them.
        raise ValueError("encoding")
    codecs.lookup_error(options.get("encoding_errors", "strict"))
