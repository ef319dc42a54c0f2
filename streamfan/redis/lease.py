"""The sign of life that a producer leaves for its readers, and what it says of what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Literal

from streamfan.errors import WireError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Control = Literal["off", "open", "token"]
"""Whether a producer hears requests to stop: from nobody, from anybody, from who knows its token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the lease of a stream holds.

    Attributes:
        seconds: How long it holds when nobody renews it.
        control: From whom the producer hears requests to stop.
        live: Whether events are published too; otherwise a reader has to look at the log by itself.
    """

    attempt: int
    writer: str
    seconds: float
    control: Control = "off"
    live: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.seconds < inf:
            raise ValueError(f"a lease of {self.seconds} s")

    def encode(self) -> bytes:
        """The value of the key: JSON."""
        return _adapter().dump_json(self)

    @classmethod
    def decode(cls, data: bytes) -> Lease:
        """The lease that the key's value is.

        Raises:
            WireError: It is none.
        """
        from pydantic import ValidationError

        try:
            return _adapter().validate_json(data)
        except ValidationError:
            raise WireError(f"not a lease: {data[:80]!r}") from None


@lru_cache(1)
def _adapter() -> TypeAdapter[Lease]:
    from pydantic import TypeAdapter

    return TypeAdapter(Lease)
