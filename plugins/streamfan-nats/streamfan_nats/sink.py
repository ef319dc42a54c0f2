"""The `nats` sink: the events of each stream on a subject of its own, for readers in any language.

With JetStream a reader that joins late, or comes back, has them all from the start. Exactly once: `open` reads the
last message of the subject, which says how much of the text is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streamfan import AsyncSink, Delivery, LaneOptions
from streamfan_nats.kept import Kept
from streamfan_nats.link import Link
from streamfan_nats.options import NatsOptions
from streamfan_nats.plain import Plain

if TYPE_CHECKING:
    from streamfan import Chunk, End, StreamInfo


class Mode(Protocol):
    """What becomes of a sink's streams; see `Sink` for what each method promises."""

    async def rehearse(self) -> None:
        """Find out whether server and user will do."""

    async def open(self, stream: StreamInfo) -> int | None:
        """See `Sink.open`."""

    async def write(self, chunk: Chunk) -> None:
        """See `Sink.write`."""

    async def close(self, stream: StreamInfo, end: End) -> None:
        """See `Sink.close`."""


class NatsSink(AsyncSink):
    """Publishes each stream on a subject of NATS, and has JetStream keep it.

    The target is a URL, or several of one cluster with commas between. Without one it is `$NATS_URL`, else
    nats://localhost:4222.
    """

    name = "nats"
    aliases = ("tls",)
    example = "nats://localhost:4222"
    Options = NatsOptions
    delivery = Delivery.EXACTLY_ONCE
    lane_defaults = LaneOptions(linger=0.010)

    options: NatsOptions

    def __init__(self, target: str | None = None, options: NatsOptions | None = None) -> None:
        super().__init__(target, options)
        self._link = Link(target, self.options)
        self._mode: Mode
        if self.options.mode == "core":
            self.delivery = Delivery.AT_MOST_ONCE
            self._mode = Plain(self._link, self.options)
        else:
            self._mode = Kept(self._link, self.options)

    @property
    def label(self) -> str:
        """The servers, without what is said to log in with."""
        return str(self._link)

    async def aconnect(self) -> None:
        """See `Sink.connect`."""
        await self._mode.rehearse()

    async def aopen(self, stream: StreamInfo) -> int | None:
        """See `Sink.open`."""
        return await self._mode.open(stream)

    async def awrite(self, chunk: Chunk) -> None:
        """See `Sink.write`."""
        await self._mode.write(chunk)

    async def aclose(self, stream: StreamInfo, end: End) -> None:
        """See `Sink.close`."""
        await self._mode.close(stream, end)

    async def adisconnect(self) -> None:
        """See `Sink.disconnect`."""
        await self._link.close()
