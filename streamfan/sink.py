"""What a sink is: all that the author of one must read.

A sink is a place that text goes to. One method is required:

    class Shout(Sink):
        name = "shout"

        def write(self, chunk: Chunk) -> None:
            print(chunk.text.upper(), end="", flush=True)

A program uses it as `Fan(Shout())`. For `--sink shout` the module gives it to whoever asks, and the distribution names
the module in its entry points, group `streamfan.sinks`: `shout = "your_module"`.

    @hookimpl
    def streamfan_sinks():
        return [Shout]

A lane calls the methods of one sink from one thread, one call at a time, so a sink needs no lock and may block: nobody
else waits for it. Raise what comes: a lane sorts errors by their class.

=============================================  ==================================================================
raised                                         what the lane does
=============================================  ==================================================================
`Retryable`, `TimeoutError`, `ConnectionError` waits, opens the stream again and goes on; the pauses grow
`OSError` that may pass (ENOSPC, EINTR, ...)   the same
`SinkClosed`                                   ends the lane; that is no failure
`Permanent` and everything else                gives this stream up, at this sink only
=============================================  ==================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from streamfan.errors import Permanent
from streamfan.loop import LoopThread
from streamfan.options import LaneOptions, Options, without_userinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streamfan.events import Chunk, End, Gap, StreamInfo
    from streamfan.report import Report

T = TypeVar("T")


class Delivery(StrEnum):
    """What a sink promises about a chunk whose call failed half-way."""

    AT_MOST_ONCE = "at most once"
    """It is never sent again, and counted as lost."""
    AT_LEAST_ONCE = "at least once"
    """It is sent again with the same offset and the same bytes; the receiver can tell."""
    EXACTLY_ONCE = "exactly once"
    """`open` says how much the destination holds, and the lane goes on from there."""


class SinkOptions(Options):
    """The options of a sink; subclass it, and give every field a description."""


class Sink(ABC):
    """A place that text goes to.

    The constructor only stores: no connection, no file, no import of a client library. `connect` does that. It refuses
    a target that can never work with a `SpecError`, which is shown as it is; it should quote no password.

    Attributes:
        name: What the sink is called in a specification; equals the name of its entry point.
        aliases: URL schemes that also mean this sink; it then gets the whole URL as its target.
        example: A specification for help texts, for a sink that needs a target; unless set, its name is shown.
        Options: The model of its options.
        delivery: What is promised about a chunk whose call failed half-way.
        accepts_gaps: Whether the sink can be told of text that it is not given; see `gap`.
        heartbeat: Seconds between calls of `beat`; None for none.
        lane_defaults: Lane options that suit this sink better than the general ones; only those that are set count.
            These four may differ between objects: set them on the instance, in its constructor.
        target: What stood after the colon of the specification, if anything did.
        options: A validated instance of `Options`.
        fan_report: Gives what became of everything so far, also at the other sinks, to a sink that shows it. The fan
            sets it before `connect`; once the fan is gone, it returns None.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = ""
    Options: ClassVar[type[SinkOptions]] = SinkOptions
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    accepts_gaps: bool = False
    heartbeat: float | None = None
    lane_defaults: LaneOptions = LaneOptions()
    # Also for a subclass whose constructor does not call this one.
    target: str | None = None
    options: SinkOptions = SinkOptions()
    fan_report: Callable[[], Report | None] | None = None

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        self.target = target
        self.options = self.Options() if options is None else options

    @property
    def label(self) -> str | None:
        """The target as people may see it: without a user's name and password."""
        return None if self.target is None else without_userinfo(self.target)

    def connect(self) -> None:  # noqa: B027 - a sink without a connection has nothing to do here
        """Reach the destination; called before any stream is opened, and again until it has worked once."""

    def open(self, stream: StreamInfo) -> int | None:
        """Say how many UTF-8 bytes of this attempt the destination holds; None if it cannot know.

        Called before a stream's first write, and again after a failure whose result is unknown. The lane goes on from
        the number returned: it must be the end of a chunk or at least of a code point, and at most what was ever sent.
        Count only this attempt: what an older one left there is another text. `streamfan replay` publishes an attempt
        again: then what an earlier program has written of it counts, even if that is all of it.
        """
        return None

    @abstractmethod
    def write(self, chunk: Chunk) -> None:
        """Deliver a chunk: in order, without gaps, one at a time, never empty. May block."""

    def gap(self, gap: Gap) -> None:
        """Take note that the text from `gap.offset` to `gap.end` will not come, and that the next chunk begins there.

        Called instead of `write`, with the same promises, only if `accepts_gaps` and the lane option `when_full` is
        `skip`; a place where nobody can see that something is missing must not accept gaps. What `open` says counts the
        bytes of a gap that was taken note of as if they were there.
        """
        raise Permanent(f"sink {self.name!r} accepts no gaps")

    def beat(self, stream: StreamInfo) -> None:  # noqa: B027 - only sinks with a heartbeat have something to do
        """Show that the producer of `stream` lives; called every `heartbeat` seconds, also while no text flows."""

    def close(self, stream: StreamInfo, end: End) -> None:  # noqa: B027 - closing needs nothing by default
        """Finish a stream: called for every stream that was opened, whatever the outcome, until it has returned once.

        `end.complete` says whether this sink was given the whole text.
        """

    def disconnect(self) -> None:  # noqa: B027 - a sink without a connection has nothing to do here
        """Release everything; called once, also after errors."""

    def size(self, text: str) -> int:
        """How many bytes `text` takes at the destination; the lane option `max_bytes` is counted in these."""
        return len(text.encode())


class AsyncSink(Sink):
    """A sink whose destination is reached with asyncio: the same contract, in coroutines with an `a` before their name.

    The event loop runs in a thread of its own, also between calls, so that client libraries can answer pings.
    """

    _loop: LoopThread | None = None

    async def aconnect(self) -> None:
        """See `Sink.connect`."""

    async def aopen(self, stream: StreamInfo) -> int | None:
        """See `Sink.open`."""
        return None

    @abstractmethod
    async def awrite(self, chunk: Chunk) -> None:
        """See `Sink.write`."""

    async def agap(self, gap: Gap) -> None:
        """See `Sink.gap`."""
        raise Permanent(f"sink {self.name!r} accepts no gaps")

    async def abeat(self, stream: StreamInfo) -> None:
        """See `Sink.beat`."""

    async def aclose(self, stream: StreamInfo, end: End) -> None:
        """See `Sink.close`."""

    async def adisconnect(self) -> None:
        """See `Sink.disconnect`."""

    def connect(self) -> None:
        """Run `aconnect`, starting the event loop's thread before the first time."""
        self._run(self.aconnect())

    def open(self, stream: StreamInfo) -> int | None:
        """Run `aopen`."""
        return self._run(self.aopen(stream))

    def write(self, chunk: Chunk) -> None:
        """Run `awrite`."""
        self._run(self.awrite(chunk))

    def gap(self, gap: Gap) -> None:
        """Run `agap`."""
        self._run(self.agap(gap))

    def beat(self, stream: StreamInfo) -> None:
        """Run `abeat`."""
        self._run(self.abeat(stream))

    def close(self, stream: StreamInfo, end: End) -> None:
        """Run `aclose`."""
        self._run(self.aclose(stream, end))

    def disconnect(self) -> None:
        """Run `adisconnect`, then cancel the tasks that are left and stop the event loop."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        try:
            loop.run(self.adisconnect())
        finally:
            loop.stop()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            self._loop = LoopThread(f"streamfan-{self.name}-loop")
        return self._loop.run(coroutine)
