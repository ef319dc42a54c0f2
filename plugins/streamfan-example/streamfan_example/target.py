"""What may stand after `--sink example:`, the target, which streamfan hands over as it was written."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from streamfan import SpecError

DEFAULT = "localhost:9009"


class Address(NamedTuple):
    """Where a collector listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(target: str | None) -> Address:
    """The address that a target means; the default one for none.

    Raises:
        SpecError: It means none. The text quotes nothing of it, for people paste passwords.
    """
    try:
        parts = urlsplit(f"//{DEFAULT if target is None else target}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.path or parts.query or parts.fragment:
        raise SpecError("sink 'example': its target is no address\nTry: --sink example:HOST:PORT")
    if parts.username is not None:
        raise SpecError("sink 'example': its target holds a user's name\nTry: -o example.token=...")
    return Address(host, port)
