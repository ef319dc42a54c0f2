"""The URL of a webhook: checked before anything is connected, and shown without what may be secret in it."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamfan.errors import SpecError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

# What no server takes, and the client library refuses.
_LONGEST = 16_384
_DOTTED = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


def parse(target: str | None) -> SplitResult:
    """The parts of an http or https URL that can be posted to.

    Raises:
        SpecError: `target` is none; the text says why and quotes nothing of it, for it may hold a password.
    """
    try:
        parts = urlsplit(target or "")
        problem = _problem(target or "", parts)
    except ValueError:
        # Not the error's own text, which quotes the URL.
        raise refused("has a host or a port that cannot be read") from None
    if problem is not None:
        raise refused(problem)
    return parts


def refused(problem: str) -> SpecError:
    """The error for a URL that cannot be posted to."""
    return SpecError(
        f"sink 'webhook': its URL {problem}\nTry: --sink webhook:https://host/path, or --sink https://host/path"
    )


def shown(url: SplitResult) -> str:
    """`url` as people may see it: without its query, which often holds a token."""
    return f"{url.scheme}://{url.netloc}{url.path}" + ("?..." if url.query else "")


def _problem(target: str, parts: SplitResult) -> str | None:
    if not target:
        return "is missing"
    if len(target) > _LONGEST:
        return f"is longer than {_LONGEST:,} characters"
    if any(character <= " " or character == "\x7f" for character in target):
        return "holds white space or control characters"
    if "@" in parts.netloc:
        return "holds a user name or password, which would be shown and logged: leave it out, or sign with 'secret'"
    if parts.scheme not in {"http", "https"}:
        return "begins with neither http:// nor https://"
    if not parts.hostname:
        return "has no host"
    if "#" in target:
        return "has a fragment (#...), which is never sent: leave it out"
    # All raise ValueError, as urlsplit does: bytes that are no text, a host that no name server knows the form of, a
    # port that is none.
    target.encode()
    if "[" in parts.netloc:
        IPv6Address(parts.hostname)
    else:
        _check_name(parts.hostname)
    return "has port 0" if parts.port == 0 else None


def _check_name(host: str) -> None:
    if _DOTTED.fullmatch(host):
        IPv4Address(host)
    host.encode("idna")
    if not host.isascii():
        with suppress(ModuleNotFoundError):  # a part of the client library, whose absence is told of at connect
            import idna

            # Stricter than the codec, and what is connected to.
            idna.encode(host.lower())
