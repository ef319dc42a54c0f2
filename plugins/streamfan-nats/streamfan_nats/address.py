"""Where NATS servers are, and how to speak of them without giving a password away."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, unquote, urlsplit

from streamfan import ConfigError

SCHEMES = ("nats", "tls")
LOCAL = "nats://localhost:4222"
"""Where a server is, unless somebody says otherwise."""
_VARIABLE = "NATS_URL"
_PORT = 4222


@dataclass(frozen=True, slots=True)
class Address:
    """One server, and what its URL says to log in with.

    Attributes:
        tls: Whether the connection must be encrypted; that it may be is for the server to say.
        user: The user, or a token where there is no password.
    """

    host: str
    port: int
    tls: bool = False
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The URL, without what it says to log in with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def addresses(target: str | None) -> tuple[Address, ...]:
    """The servers that a target names: one URL or several with commas between; without one, `$NATS_URL`'s, or local.

    What a URL does not say to log in with is the first one's.

    Raises:
        ConfigError: It is no such URL; the text quotes nothing of it, for it may hold a password.
    """
    # Empty is as good as unset, as everywhere in a shell.
    target, origin = (target, "the NATS URL") if target else (os.environ.get(_VARIABLE) or LOCAL, f"${_VARIABLE}")
    scheme = target.partition("://")[0] if "://" in target else SCHEMES[0]
    found = [_address(part.strip(), scheme, origin) for part in target.split(",")]
    first = found[0]
    return tuple(
        each if each.user is not None else replace(each, user=first.user, password=first.password) for each in found
    )


def _address(part: str, scheme: str, origin: str) -> Address:
    url = part if "://" in part else f"{scheme}://{part}"
    try:
        parts = urlsplit(url)
        port = _PORT if parts.port is None else parts.port
        problem = _problem(parts)
    except ValueError:
        port, problem, parts = 0, "has a host or a port that cannot be read", SplitResult("", "", "", "", "")
    if problem is not None or not parts.hostname:
        raise ConfigError(
            f"{origin} {problem or 'has no host'}\n"
            "Try: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT] or tls://..., or several with commas between"
        )
    user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
    return Address(parts.hostname, port, parts.scheme == "tls", user or None, password)


def _problem(parts: SplitResult) -> str | None:
    if parts.scheme not in SCHEMES:
        return "begins with neither nats:// nor tls://"
    if parts.path.strip("/") or parts.query or parts.fragment:
        return "has something after host and port: write %2F, %3F, %23 for /, ?, # in a password"
    return "has port 0" if parts.port == 0 else None
