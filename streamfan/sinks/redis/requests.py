"""What consumers ask of a stream's producer."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.errors import WireError
from streamfan.redis.control import CancelRequest

if TYPE_CHECKING:
    from streamfan.events import StreamInfo

log = logging.getLogger("streamfan.sinks.redis")

_LONGEST_SHOWN = 60


class Requests:
    """The requests to stop one attempt at a stream: the first that counts is passed on, once.

    Args:
        token: What a request has to prove that it knows; None where none is needed.

    Attributes:
        heard_at: When it was last asked for them.
    """

    def __init__(self, stream: StreamInfo, token: str | None) -> None:
        self.heard_at = 0.0
        self._stream = stream
        self._token = token
        self._passed_on = False
        self._warned = False

    def hear(self, data: bytes | None) -> None:
        """Take what the key holds now, which is most often nothing, or what was heard before."""
        self.heard_at = monotonic()
        if data is None or self._passed_on:
            return
        try:
            request = CancelRequest.decode(data)
        except WireError:
            # Without a word of it: somebody may have written the token itself.
            self._warn("one that cannot be read")
            return
        if request.attempt != self._stream.attempt:
            return
        if self._token is not None and not request.proves(self._token, self._stream.id):
            self._warn(f"that of {request.by[:_LONGEST_SHOWN]!r}, which does not prove that it knows the control token")
            return
        self._passed_on = True
        self._stream.cancel(request.reason, by=request.by)

    def _warn(self, what: str) -> None:
        # Once: it stays where it is, and is read with every chunk.
        if not self._warned:
            self._warned = True
            log.warning("stream %r: ignored a request to stop: %s", self._stream.id, what)
