"""Where the text is on its way from a producer to one sink: waiting, taken, or given up.

An event is a piece of text as its producer wrote it: lanes merge pieces, and sinks are given fewer, larger chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(StrEnum):
    """Why text will not be delivered any more."""

    FAILED = "failed"
    """The stream has failed at this sink."""
    LATE = "late"
    """The time for delivery was over."""
    IN_DOUBT = "in_doubt"
    """Sent once by a sink that delivers at most once, and nobody knows whether it has arrived."""
    SKIPPED = "skipped"
    """The sink was told of a gap in its place, as its lane was asked to."""
    LEFT = "left"
    """The destination closed by itself, as a pipe does."""

    @property
    def intentional(self) -> bool:
        """Whether somebody wanted it so."""
        return self in {Reason.LEFT, Reason.SKIPPED}


@dataclass(frozen=True, slots=True)
class Amount:
    """So much text: the pieces that its producer wrote, and their UTF-8 bytes."""

    events: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.events + other.events, self.bytes + other.bytes)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.events - other.events, self.bytes - other.bytes)


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the text of one stream is, or of several, as one lane sees it.

    Attributes:
        received: What was written.
        sent: What the sink has taken; once, also where it was sent again.
        discarded: What will not be delivered any more, and why.
        buffer_bytes: What waits, or is on its way.
    """

    received: Amount = Amount()
    sent: Amount = Amount()
    discarded: Mapping[Reason, Amount] = field(default_factory=dict)
    buffer_bytes: int = 0

    def __add__(self, other: Flow) -> Flow:
        reasons = self.discarded.keys() | other.discarded.keys()
        none = Amount()
        return Flow(
            self.received + other.received,
            self.sent + other.sent,
            {why: self.discarded.get(why, none) + other.discarded.get(why, none) for why in reasons},
            self.buffer_bytes + other.buffer_bytes,
        )
