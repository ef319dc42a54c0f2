"""What a consumer may ask of a producer elsewhere: to stop.

A request is a key of the stream, so that it outlives broken connections on both sides; the end event answers it. Where
the producer wants a token, the request has a proof of it, made for this one attempt: whoever can read the key learns
nothing that would stop another stream. The proof is HMAC-SHA256 (RFC 2104) of "<stream> <attempt>".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from streamfan.errors import WireError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

REQUEST_KEPT = 3600.0
"""Seconds that a request is kept where no end event answers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """A request to stop one attempt at a stream.

    Attributes:
        reason: Why, for the end event and everybody who reads it.
        by: Who asks, as they call themselves.
        proof: That they know the producer's token; None where they know none.
    """

    attempt: int
    reason: str
    by: str
    proof: str | None = None

    def encode(self) -> bytes:
        """The value of the key: JSON."""
        return _adapter().dump_json(self)

    @classmethod
    def decode(cls, data: bytes) -> CancelRequest:
        """The request that the key's value is.

        Raises:
            WireError: It is none.
        """
        from pydantic import ValidationError

        try:
            return _adapter().validate_json(data)
        except ValidationError:
            raise WireError(f"not a request to stop: {data[:80]!r}") from None

    def proves(self, token: str, stream: str) -> bool:
        """Whether whoever wrote this knows `token`."""
        expected = proof(token, stream, self.attempt)
        return hmac.compare_digest((self.proof or "").encode(), expected.encode())


def proof(token: str, stream: str, attempt: int) -> str:
    """What a request has to show where a token is required, in hexadecimal."""
    return hmac.new(token.encode(), f"{stream} {attempt}".encode(), hashlib.sha256).hexdigest()


@lru_cache(1)
def _adapter() -> TypeAdapter[CancelRequest]:
    from pydantic import TypeAdapter

    return TypeAdapter(CancelRequest)
