"""Where a Redis is, and how to speak of it without giving its password away."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from streamfan.errors import ConfigError
from streamfan.redis.names import has_no_utf8
from streamfan.redis.query import unusable_option

SCHEMES = ("redis", "rediss", "unix")
LOCAL = "redis://localhost:6379/0"
"""Where a Redis is on this machine, if there is one."""
_VARIABLE = "REDIS_URL"


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis URL that has been looked at; as text it has neither user nor password nor query.

    Args:
        url: As redis-py takes it.
        origin: Where it comes from, if it was not given to the program.

    Raises:
        ConfigError: It is no Redis URL; the text quotes nothing of it, for it may hold a password.
    """

    url: str = field(repr=False)
    origin: str | None = None

    def __post_init__(self) -> None:
        try:
            problem = (
                "is no UTF-8" if has_no_utf8(self.url) else _problem(urlsplit(self.url)) or _problem_of_query(self.url)
            )
        except ValueError:
            problem = "has a host or a port that cannot be read"
        if problem is not None:
            raise ConfigError(
                f"{self.origin or 'the Redis URL'} {problem}\n"
                "Try: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://... or unix:///PATH[?db=DATABASE]"
            )

    def at(self, host: str | None, port: int) -> Address:
        """The way to another server, with the same scheme, user and options.

        Args:
            host: None for the same host.
        """
        parts = urlsplit(self.url)
        host = host or parts.hostname or "localhost"
        userinfo, at, _ = parts.netloc.rpartition("@")
        netloc = f"{userinfo}{at}{f'[{host}]' if ':' in host else host}:{port}"
        # The servers of a cluster name no sockets to each other.
        scheme, path = ("redis", "") if parts.scheme == "unix" else (parts.scheme, parts.path)
        return Address(urlunsplit((scheme, netloc, path, parts.query, "")), self.origin)

    def with_password(self, password: str) -> Address:
        """The same, logging in with `password` instead of the URL's."""
        parts = urlsplit(self.url)
        userinfo, _, place = parts.netloc.rpartition("@")
        user = userinfo.partition(":")[0]
        netloc = f"{user}:{quote(password, safe='')}@{place}"
        return Address(urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")), self.origin)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        userinfo, _, place = parts.netloc.rpartition("@")
        if "@" in parts.query:
            # A "?" or "@" that should have been percent-encoded: anything here may be the password.
            place = "***"
        shown = f"{parts.scheme}://{'***@' if userinfo else ''}{place}{parts.path}"
        return f"{shown} ({self.origin})" if self.origin else shown


def find(url: str | None) -> Address | None:
    """The address that was given, else the one that `$REDIS_URL` holds; None where there is neither.

    Raises:
        ConfigError: It is none.
    """
    if url is not None:
        return Address(url)
    # Empty is as good as unset, as everywhere in a shell.
    url = os.environ.get(_VARIABLE)
    return Address(url, f"${_VARIABLE}") if url else None


def _problem(parts: SplitResult) -> str | None:
    if parts.scheme not in SCHEMES:
        return f"begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    if parts.fragment:
        return "has a fragment (#...): write %23 for a # in a password"
    if parts.scheme == "unix":
        return None if parts.path else "has no path"
    if not parts.hostname:
        return "has no host"
    if not _is_host_name(unquote(parts.hostname)):
        return "has a host name of which a part is empty, too long or malformed"
    # redis-py takes database 0 for whatever it cannot read here.
    if not parts.path.strip("/").isdecimal() and parts.path.strip("/"):
        return "has a path that is no database number"
    return "has port 0" if parts.port == 0 else None


def _is_host_name(host: str) -> bool:
    try:
        # As a socket does, which raises no OSError either.
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _problem_of_query(url: str) -> str | None:
    name = unusable_option(url)
    if name is None:
        return None
    # With an "@" the name too may be of a password, whose "?" should have been percent-encoded.
    return "has an option that cannot be used" + ("" if "@" in urlsplit(url).query else f": {name!r}")
