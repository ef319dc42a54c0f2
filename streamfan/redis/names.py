"""What streams are called in Redis: keys, channels and entry ids.

The braces in a key are literal: a Redis Cluster hashes only what stands in them, so one stream's keys share a slot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from streamfan.errors import UsageError

PREFIX = r"^[^\s{}]+$"
"""What keys may begin with: a brace would decide where in a Redis Cluster they are."""


@dataclass(frozen=True, slots=True)
class Names:
    """The keys and the channel of one stream."""

    prefix: str
    stream: str

    @property
    def log(self) -> str:
        """A Redis Stream: every event, in order; the truth."""
        return self._name("log")

    @property
    def live(self) -> str:
        """A channel: each event again, once the log has it."""
        return self._name("live")

    @property
    def attempt(self) -> str:
        """The newest attempt and its writer; outlives the log.

        A Redis Stream of one entry `<attempt>-0`: of all types it alone refuses a smaller number than it holds, in one
        command, on every server.
        """
        return self._name("attempt")

    @property
    def lease(self) -> str:
        """A string that expires, a `Lease`: set while the producer lives."""
        return self._name("lease")

    @property
    def cancel(self) -> str:
        """A string, a `CancelRequest`: what a consumer asks of the producer, until the end event answers it."""
        return self._name("cancel")

    def _name(self, part: str) -> str:
        return f"{self.prefix}:{{{self.stream}}}:{part}"


def check_prefix(prefix: str) -> None:
    """Refuse what no key may begin with.

    Raises:
        UsageError: `prefix` is malformed.
    """
    if has_no_utf8(prefix):
        raise UsageError(f"prefix {prefix!r} is no UTF-8")
    if re.fullmatch(PREFIX, prefix) is None:
        raise UsageError(f"prefix {prefix!r} is malformed, expected at least one character, no spaces and no braces")


def has_no_utf8(text: str) -> bool:
    """Whether `text` cannot be sent: it comes from an argument or a variable that is no UTF-8."""
    return re.search(r"[\ud800-\udfff]", text) is not None


def index(prefix: str) -> str:
    """The recent streams: a sorted set of ids, by the time in Unix milliseconds of the last that is known of each.

    Also the name of a channel: `<id> <attempt>` of each stream that was opened, once the index has it.
    """
    return f"{prefix}:streams"


class EntryId(NamedTuple):
    """Where an event stands in the log: `<attempt>-<sequence>`, compared as Redis does.

    The sequence of `start` is 0, of `text` its end, of `end` its offset + 1.
    """

    attempt: int
    sequence: int

    @classmethod
    def parse(cls, text: bytes) -> EntryId:
        """The id that Redis writes as `text`."""
        attempt, _, sequence = text.partition(b"-")
        return cls(int(attempt), int(sequence))

    def __str__(self) -> str:
        return f"{self.attempt}-{self.sequence}"
