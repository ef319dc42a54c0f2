"""The sink under test and its destination, as the tests of the kit use them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from streamfan.fan import Fan
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink
from streamfan.testing.held import Held, Record
from streamfan.testing.promises import broken, promised
from streamfan.testing.values import MODEL, chunks, ending
from streamfan.testing.witness import Witness

if TYPE_CHECKING:
    from streamfan.events import Chunk, Gap, StreamInfo
    from streamfan.report import Report

MakeSink = Callable[[], Sink]
"""What the fixture `sink` gives: makes one more sink for the same destination; it is not connected."""

Received = Callable[["StreamInfo"], str | Iterable[Record]]
"""What the fixture `received` gives: reads back what the destination holds of a stream."""

LoseReply = Callable[[], object]
"""What the fixture `lose_reply` gives: has the destination take what comes next, and its reply get lost."""

PATIENCE = 20.0
"""Seconds after which what must happen has not happened."""

SMALL = LaneOptions(max_bytes=8, linger=0.0)
"""Makes several chunks of a short text."""


@dataclass(frozen=True, slots=True)
class Run:
    """A text that was published through a fan.

    Attributes:
        stream: The stream that it was.
        text: All of it.
    """

    stream: StreamInfo
    text: str
    report: Report
    witness: Witness

    @property
    def failure(self) -> str | None:
        """Why it was not delivered; None if it was."""
        return "\n".join(map(str, self.report.failures)) or None


class Kit:
    """Makes sinks, calls them, and reads what their destination holds.

    Args:
        make: See `MakeSink`.
        received: See `Received`.
    """

    def __init__(self, make: MakeSink, received: Received) -> None:
        self.make = make
        self._received = received
        self._connected: list[Sink] = []

    def connected(self) -> Sink:
        """One more sink, connected; it is disconnected with the kit."""
        sink = self.make()
        with promised("connect()", Sink.connect):
            sink.connect()
        self._connected.append(sink)
        return sink

    def disconnect(self, sink: Sink) -> None:
        """Disconnect a sink that `connected` gave."""
        self._connected.remove(sink)
        with promised("disconnect()", Sink.disconnect):
            sink.disconnect()

    def release(self) -> None:
        """Disconnect what is left."""
        while self._connected:
            self.disconnect(self._connected[-1])

    def held(self, stream: StreamInfo) -> Held:
        """What the destination holds of `stream`."""
        return Held.of(self._received(stream), stream)

    def deliver(self, sink: Sink, stream: StreamInfo, *texts: str) -> None:
        """A whole stream, one call after the other."""
        self.begin(sink, stream, *texts)
        self.close(sink, stream, "".join(texts))

    def begin(self, sink: Sink, stream: StreamInfo, *texts: str) -> None:
        """A stream that is opened and given `texts`, and not closed."""
        self.open(sink, stream)
        for chunk in chunks(stream, *texts):
            self.write(sink, chunk)

    def open(self, sink: Sink, stream: StreamInfo) -> int | None:
        """Call `open`, which must not raise."""
        with promised("open()", Sink.open):
            return sink.open(stream)

    def write(self, sink: Sink, chunk: Chunk) -> None:
        """Call `write`, which must not raise."""
        with promised(f"write() of {_excerpt(chunk.text)}", Sink.write):
            sink.write(chunk)

    def gap(self, sink: Sink, gap: Gap) -> None:
        """Call `gap`, which must not raise."""
        with promised(f"gap() of bytes {gap.offset} to {gap.end}", Sink.gap):
            sink.gap(gap)

    def close(self, sink: Sink, stream: StreamInfo, text: str, *, complete: bool = True) -> None:
        """Call `close`, which must not raise."""
        with promised("close()", Sink.close):
            sink.close(stream, ending(stream, text, complete=complete))

    def beat(self, sink: Sink, stream: StreamInfo) -> None:
        """Call `beat`, which must not raise."""
        with promised("beat()", Sink.beat):
            sink.beat(stream)

    def check(self, stream: StreamInfo, expected: str, contract: Any = Sink.write) -> None:
        """Refuse that the destination holds another text of `stream`, against what `contract` says."""
        found = self.held(stream).text
        if found != expected:
            broken(difference(expected, found), contract)

    def publish(self, witness: Witness, *texts: str, lane: LaneOptions = SMALL, model: str | None = MODEL) -> Run:
        """Publish one stream through a fan, in small chunks, and wait until it is delivered or given up."""
        with Fan(close_timeout=PATIENCE) as fan:
            fan.add(witness, lane=lane)
            with fan.open(model=model) as stream:
                for text in texts:
                    stream.write(text)
        return Run(stream.info, "".join(texts), fan.report, witness)

    def check_delivered(self, run: Run) -> None:
        """Refuse what is not what the sink's guarantee says, whatever was spoilt on the way."""
        delivery = run.witness.delivery
        held = self.held(run.stream)
        if delivery is not Delivery.AT_MOST_ONCE and run.failure is not None:
            broken(f"it was to be delivered {delivery}, and was not: {run.failure}", delivery)
        held.check_pieces(delivery)
        allowed = possible_texts(run) if delivery is Delivery.AT_MOST_ONCE else {run.text}
        if held.distinct not in allowed:
            hint = ""
            if held.pieces is None and delivery is Delivery.AT_LEAST_ONCE:
                hint = "; if a reader can tell what was repeated, received() has to give offsets too: (offset, text)"
            broken(f"{difference(run.text, held.distinct)}{hint}", delivery)


def possible_texts(run: Run) -> set[str]:
    """What an at-most-once destination may hold: every chunk that was taken, with those in doubt or without."""
    texts = {""}
    for written in run.witness.seen.written:
        text = written.chunk.text
        texts = {before + text for before in texts} | (set() if written.returned else texts)
    return texts


def difference(expected: str, found: str) -> str:
    """Where a text differs from what it should be, in words."""
    if found == expected:
        return "the same text"
    same = next((at for at, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(expected), len(found)) if same is None else same
    return (
        f"the destination holds {len(found)} characters where it should hold {len(expected)}; "
        f"from character {at} on {_excerpt(found[at:])} instead of {_excerpt(expected[at:])}"
    )


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether `condition` comes true in good time."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() >= deadline:
            return False
        threading.Event().wait(0.01)
    return True


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
