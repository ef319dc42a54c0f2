"""What shows that a stream's producer lives, and what is asked of it meanwhile."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import WireError
from streamfan.redis.batch import accept, readable
from streamfan.redis.connection import milliseconds
from streamfan.redis.control import CancelRequest
from streamfan.redis.lease import Lease
from streamfan.sinks.redis.owner import Claim
from streamfan.sinks.redis.requests import Requests

if TYPE_CHECKING:
    from streamfan.errors import SinkError
    from streamfan.events import StreamInfo
    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Command
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions


log = logging.getLogger("streamfan.sinks.redis")

# The part of its time for which a lease need not be renewed.
_FRESH = 20
# A later attempt may have taken over since it was asked who has the stream; its lease is not to be overwritten. Where
# the server runs no scripts it is, until the later attempt's next beat. A server whose memory is full sets nothing, but
# keeps longer what it has: whoever waits for room lives.
_RENEW = """
local found = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if found.err then return found end
local newest = found[1]
if newest and not (newest[1] == ARGV[1] and newest[2][2] == ARGV[2]) then return 0 end
local kept = redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
if kept.err and redis.pcall('GET', KEYS[2]) == ARGV[3] then redis.pcall('PEXPIRE', KEYS[2], ARGV[4]) end
return kept
"""
# It may have been set anew since it was looked at. What is of another type was looked at as empty.
_DELETE = """
local held = redis.pcall('GET', KEYS[1])
if held == ARGV[1] or type(held) == 'table' and ARGV[1] == '' then return redis.pcall('DEL', KEYS[1]) end
return 0
"""


class Presence:
    """The lease of one attempt, and all that lasts as long as its producer lives, over whatever connection.

    Attributes:
        stream: Its id.
        claim: Whose the stream is.
        requests: Whom to tell what is asked of the producer.
        beaten_at: When somebody last said that the producer lives.
        error: What the last try to show that it lives has met.
        ended: Whether there is nothing to show any more, for the log has its end.
    """

    def __init__(self, names: Names, stream: StreamInfo, options: RedisOptions) -> None:
        self.claim = Claim(names, stream, options)
        self.requests = Requests(stream, options.token)
        self.beaten_at = monotonic()
        self.error: SinkError | None = None
        self.ended = False
        self.stream = stream.id
        self._names = names
        self._options = options
        self._renewed_at = 0.0

    @property
    def key(self) -> str:
        """A key that is where all the stream's keys are."""
        return self._names.lease

    @property
    def lasts(self) -> bool:
        """Whether, as far as is known, there is a producer to show."""
        return not (self.ended or self.claim.taken)

    def is_due(self, now: float) -> bool:
        """Whether it is time to show that the producer lives, or to hear what is asked of it."""
        options = self._options
        deaf = options.control and now - self.requests.heard_at > options.heartbeat / 2
        return self.lasts and (deaf or now - self._renewed_at > options.lease / _FRESH)

    @property
    def questions(self) -> tuple[Command, ...]:
        """Asks who has the stream, and what is asked of its producer."""
        return (self.claim.question, *([("GET", self._names.cancel)] if self._options.control else []))

    def hear(self, answers: Answers) -> bool:
        """Take the answers to `questions`; returns whether the stream has been claimed for this attempt.

        Raises:
            Permanent: Somebody else has taken the stream over.
        """
        newest, *request = answers[0], *map(readable, answers[1:])
        accept((newest, *request))
        claimed = self.claim.check(newest)
        for data in request:
            self.requests.hear(data)
        return claimed

    def renewal(self, *, scripts: bool) -> tuple[Command, ...]:
        """Shows that the producer lives, and keeps everything for as long as it does.

        Args:
            scripts: Whether the server runs them.
        """
        names, lifetime = self._names, milliseconds(self._options.lease)
        attempt, writer = self.claim.owner
        script = ("EVAL", _RENEW, 2, names.attempt, names.lease, f"{attempt}-0", writer, self._lease, lifetime)
        plain = ("SET", names.lease, self._lease, "PX", lifetime)
        return (script if scripts else plain, *self._expiries(self._options.ttl + self._options.lease))

    def renewed(self, began: float, answers: Answers) -> None:
        """Take the answers to `renewal`, which was begun at `began` on the monotonic clock."""
        accept(answers)
        if answers[0]:
            self._renewed_at = began

    @property
    def farewell(self) -> tuple[Command, ...]:
        """Asks what of the stream is left to take away, and keeps the rest for `ttl` from now."""
        return (("GET", self._names.lease), ("GET", self._names.cancel), *self._expiries(self._options.ttl))

    def leave(self, answers: Answers, *, scripts: bool) -> tuple[Command, ...]:
        """Take the answers to `farewell`, once the log has its end; what gives the lease back, and answers requests."""
        lease, request, *others = *map(readable, answers[:2]), *answers[2:]
        accept((lease, request, *others))
        self.ended = True
        answered = {self._names.lease: lease} if self._is_ours(lease) else {}
        answered |= {self._names.cancel: request} if self._is_past(request) else {}
        if scripts:
            return tuple(("EVAL", _DELETE, 1, key, held) for key, held in answered.items())
        return (("DEL", *answered),) if answered else ()

    @property
    def _lease(self) -> bytes:
        attempt, writer = self.claim.owner
        options = self._options
        return Lease(
            attempt=attempt, writer=writer, seconds=options.lease, control=options.heard, live=options.mode != "log"
        ).encode()

    def _is_ours(self, lease: bytes | None) -> bool:
        try:
            held = None if lease is None else Lease.decode(lease)
        except WireError:
            log.warning("stream %r: ignored a lease: one that cannot be read", self.stream)
            return False
        return held is not None and (held.attempt, held.writer) == self.claim.owner

    def _is_past(self, request: bytes | None) -> bool:
        try:
            return request is not None and CancelRequest.decode(request).attempt <= self.claim.owner.attempt
        except WireError:
            # Nobody will ever be able to answer it.
            return True

    def _expiries(self, seconds: float) -> tuple[Command, ...]:
        return ("PEXPIRE", self._names.log, milliseconds(seconds)), self.claim.kept_for(seconds)
