"""The sink: what streamfan calls, in terms of what the collector can do.

All calls come from one thread, one at a time, and may block: no other sink waits for this one. What is raised decides
what happens next, see the table in `streamfan.sink`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from streamfan import Delivery, End, LaneOptions, Retryable, Sink, SinkOptions, Start, Text
from streamfan.events import encode
from streamfan_example.connection import Connection
from streamfan_example.options import ExampleOptions
from streamfan_example.target import parse

if TYPE_CHECKING:
    from streamfan import Chunk, StreamInfo


# The first line of the docstring is what `streamfan sinks example` says of it.
class ExampleSink(Sink):
    """Sends each stream to a collector, which keeps it in a file of its own."""

    # The name of the entry point.
    name: ClassVar[str] = "example"
    # A specification that can be tried as it stands, for help texts.
    example: ClassVar[str] = "example:localhost:9009"
    Options: ClassVar[type[SinkOptions]] = ExampleOptions
    # What is true of a chunk whose call has failed half-way. A destination that cannot say how much it holds is
    # AT_LEAST_ONCE if its readers can tell what came twice, by its offset, else AT_MOST_ONCE.
    delivery = Delivery.EXACTLY_ONCE
    # Each chunk costs a round trip, so text may wait a little to be merged. Users can say otherwise.
    lane_defaults = LaneOptions(linger=0.1)
    options: ExampleOptions

    def __init__(self, target: str | None = None, options: ExampleOptions | None = None) -> None:
        # It only stores, and refuses what can never work. Connections are for `connect`.
        super().__init__(target, options)
        self._address = parse(target)
        self._connection: Connection | None = None

    @property
    def label(self) -> str:
        """The address, also where none was given; what reports call this sink's destination."""
        return str(self._address)

    def connect(self) -> None:
        """Reach the collector, before a model is loaded: a wrong host or token must not cost a generation."""
        if self._connection is None:
            self._connection = Connection(self._address, self.options)

    def open(self, stream: StreamInfo) -> int:
        """Begin a stream, or take it up again: the collector says how much of it there is."""
        return self._ask(Start.of(stream))

    def write(self, chunk: Chunk) -> None:
        """Have the collector append a chunk."""
        held = self._ask(Text.of(chunk))
        if held != chunk.end:
            # It was started again with an empty folder, say. `open` is called next, and the text goes on from there.
            raise Retryable(f"the collector holds {held} bytes and not {chunk.end}")

    def close(self, stream: StreamInfo, end: End) -> None:
        """Tell the collector that the stream is over; it compares the text's checksum."""
        held = self._ask(end)
        # Not complete: the text was given up before, and that it ends early is all that can be said.
        if end.complete and held != end.offset:
            raise Retryable(f"the collector holds {held} bytes and not {end.offset}")

    def disconnect(self) -> None:
        """Hang up; called in every state, also without a connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, event: Start | Text | End) -> int:
        try:
            self.connect()
            assert self._connection is not None, "connect() has made one, or raised"
            return self._connection.ask(encode(event))
        except OSError as error:
            # What comes next on this connection may be the answer to this. The next call makes a new one.
            self.disconnect()
            if isinstance(error, BrokenPipeError):
                # To a lane that is a reader who has seen enough, as in `streamfan run | head`.
                raise Retryable("the collector has hung up") from error
            raise
