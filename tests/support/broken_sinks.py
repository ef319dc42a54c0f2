"""Sinks that each break one promise, for the test that the contract kit notices.

They all are a `Shelf` but for what is wrong with them. The destination is in this process: a list of events.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from streamfan import AsyncSink, Chunk, Delivery, End, Event, Gap, LaneOptions, Sink, SinkOptions, Start, Text, hookimpl

if TYPE_CHECKING:
    from streamfan import StreamInfo


class Destination:
    """Where the sinks with one target write to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.takers: dict[tuple[str, int], int] = {}
        self._losing = False

    def lose_reply(self) -> None:
        """Take what comes next, and let nobody know."""
        self._losing = True

    def put(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)
        if self._losing:
            self._losing = False
            raise ConnectionResetError("the destination has hung up")

    def of(self, stream: StreamInfo) -> list[Event]:
        """The events of an attempt."""
        return [each for each in self.events if (each.stream, each.attempt) == _key(stream)]


DESTINATIONS: defaultdict[str, Destination] = defaultdict(Destination)


def _key(stream: StreamInfo) -> tuple[str, int]:
    return stream.id, stream.attempt


def _text(stream: StreamInfo, offset: int, text: str) -> Text:
    return Text.of(Chunk(stream, offset, text.encode()))


class Shelf(Sink):
    """Keeps all promises: exactly once."""

    name = "shelf"
    delivery = Delivery.EXACTLY_ONCE
    lane_defaults = LaneOptions(linger=0.0)
    breaks: ClassVar[str | None] = None
    """The test that must fail."""

    @property
    def there(self) -> Destination:
        """The destination."""
        assert self.target is not None
        # A password is no part of the address.
        return DESTINATIONS[self.target.rpartition("@")[2]]

    def open(self, stream: StreamInfo) -> int | None:
        events = self.there.of(stream)
        if not events:
            self.there.put(Start.of(stream))
        return max((event.end for event in events if isinstance(event, Text | Gap)), default=0)

    def write(self, chunk: Chunk) -> None:
        self.there.put(Text.of(chunk))

    def close(self, stream: StreamInfo, end: End) -> None:
        if not any(isinstance(event, End) for event in self.there.of(stream)):
            self.there.put(end)


class Sieve(Shelf):
    """Also takes note of what it is not given."""

    name = "sieve"
    accepts_gaps = True

    def gap(self, gap: Gap) -> None:
        self.there.put(gap)


class Stateless(Sieve):
    """Does not know what is there: at least once."""

    name = "stateless"
    delivery = Delivery.AT_LEAST_ONCE

    def open(self, stream: StreamInfo) -> int | None:
        self.there.put(Start.of(stream))
        return None

    def close(self, stream: StreamInfo, end: End) -> None:
        self.there.put(end)


class AsyncShelf(AsyncSink):
    """The same, with coroutines."""

    name = "asyncshelf"
    delivery = Delivery.EXACTLY_ONCE
    accepts_gaps = True
    lane_defaults = LaneOptions(linger=0.0)

    async def aconnect(self) -> None:
        self._shelf = Sieve(self.target)

    async def aopen(self, stream: StreamInfo) -> int | None:
        return self._shelf.open(stream)

    async def awrite(self, chunk: Chunk) -> None:
        self._shelf.write(chunk)

    async def agap(self, gap: Gap) -> None:
        self._shelf.gap(gap)

    async def aclose(self, stream: StreamInfo, end: End) -> None:
        self._shelf.close(stream, end)


class Altering(Shelf):
    """Writes another text than it is given."""

    def alter(self, text: str) -> str:
        """What it makes of a text."""
        raise NotImplementedError

    def write(self, chunk: Chunk) -> None:
        self.there.put(replace(Text.of(chunk), text=self.alter(chunk.text)))


# Texts


class Overtaking(Shelf):
    """Every fiftieth chunk overtakes the one before it."""

    name = "overtaking"
    breaks = "test_text_arrives_in_order_and_without_gaps"

    def write(self, chunk: Chunk) -> None:
        super().write(chunk)
        events = self.there.events
        if len(self.there.of(chunk.stream)) == 50:
            events[-2:] = events[:-3:-1]


class Dropping(Shelf):
    """Has room for fifty chunks."""

    name = "dropping"
    breaks = "test_text_arrives_in_order_and_without_gaps"

    def write(self, chunk: Chunk) -> None:
        if len(self.there.of(chunk.stream)) != 50:
            super().write(chunk)


class Stuttering(Shelf):
    """Says its fiftieth chunk twice."""

    name = "stuttering"
    breaks = "test_text_arrives_in_order_and_without_gaps"

    def write(self, chunk: Chunk) -> None:
        super().write(chunk)
        if len(self.there.of(chunk.stream)) == 50:
            super().write(chunk)


class Presuming(Shelf):
    """Takes it that every model has a name."""

    name = "presuming"
    breaks = "test_bare_stream_arrives_through_a_fan"

    def open(self, stream: StreamInfo) -> int | None:
        assert stream.model is not None
        return super().open(stream)


class Buffering(Shelf):
    """Collects chunks, until it has four or has to say something about them."""

    name = "buffering"
    breaks = "test_text_is_there_when_write_returns"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._buffer: list[Chunk] = []

    def _flush(self) -> None:
        while self._buffer:
            super().write(self._buffer.pop(0))

    def open(self, stream: StreamInfo) -> int | None:
        self._flush()
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        if not self._buffer and chunk.offset == 0 and len(chunk.data) < 4:
            super().write(chunk)
            return
        self._buffer.append(chunk)
        if len(self._buffer) == 4:
            self._flush()

    def close(self, stream: StreamInfo, end: End) -> None:
        self._flush()
        super().close(stream, end)

    def disconnect(self) -> None:
        # Too late for anybody to hear of it.
        with suppress(ConnectionResetError):
            self._flush()


class Counting(Shelf):
    """Counts characters."""

    name = "counting"
    breaks = "test_offsets_count_utf8_bytes"

    def write(self, chunk: Chunk) -> None:
        before = sum(len(event.text) for event in self.there.of(chunk.stream) if isinstance(event, Text))
        self.there.put(replace(Text.of(chunk), offset=before))


class Smiling(Altering):
    """Knows one face only; it takes as many bytes."""

    name = "smiling"
    breaks = "test_non_ascii_text_is_kept"

    def alter(self, text: str) -> str:
        return text.replace("😀", "🙂")


class TextMode(Altering):
    """Opens files as on another system."""

    name = "textmode"
    breaks = "test_newlines_are_kept"

    def alter(self, text: str) -> str:
        return text.replace("\r\n", "\n")


class Terminated(Altering):
    """Ends texts as C does."""

    name = "terminated"
    breaks = "test_nul_and_control_characters_are_kept"

    def alter(self, text: str) -> str:
        return text.partition("\0")[0]


class Narrow(Altering):
    """Has a column of 32 KiB."""

    name = "narrow"
    breaks = "test_large_chunks_are_kept"

    def alter(self, text: str) -> str:
        return text[: 32 * 1024]


class Talkative(Shelf):
    """Says something where there is nothing to say."""

    name = "talkative"
    breaks = "test_stream_without_text_is_closed"

    def close(self, stream: StreamInfo, end: End) -> None:
        if end.complete and not end.offset:
            self.there.put(_text(stream, 0, "(none)"))
        super().close(stream, end)


# Streams


class Tired(Shelf):
    """Loses the first chunk of a stream that is opened after another one was closed."""

    name = "tired"
    breaks = "test_streams_one_after_the_other_are_kept"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._closed = False
        self._late: set[str] = set()

    def open(self, stream: StreamInfo) -> int | None:
        if self._closed:
            self._late.add(stream.id)
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        if chunk.stream.id in self._late:
            self._late.remove(chunk.stream.id)
        else:
            super().write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._closed = True
        super().close(stream, end)


class SingleMinded(Shelf):
    """Takes all text for that of the stream that was opened last."""

    name = "singleminded"
    breaks = "test_interleaved_streams_do_not_mix"

    def open(self, stream: StreamInfo) -> int | None:
        self._stream = stream
        return super().open(stream)

    def write(self, chunk: Chunk) -> None:
        super().write(replace(chunk, stream=self._stream))


class Continuing(Shelf):
    """Does not know what an attempt is."""

    name = "continuing"
    breaks = "test_later_attempt_begins_at_zero"

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        there = [event.end for event in self.there.events if isinstance(event, Text) and event.stream == stream.id]
        return max(there, default=0)


class Thorough(Shelf):
    """Closes once more in the end what it has closed once."""

    name = "thorough"
    breaks = "test_every_stream_is_closed_once"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._ends: list[End] = []

    def close(self, stream: StreamInfo, end: End) -> None:
        self._ends.append(end)
        super().close(stream, end)

    def disconnect(self) -> None:
        for end in self._ends:
            if self._ends.count(end) == 1:
                self.there.put(end)


class Optimistic(Shelf):
    """Does not reckon with errors."""

    name = "optimistic"
    breaks = "test_stream_can_end_in_every_way"

    def close(self, stream: StreamInfo, end: End) -> None:
        if end.error is not None:
            raise ValueError(end.error.message)
        super().close(stream, end)


# Retries


class Miscounting(Shelf):
    """Says how many characters it has."""

    name = "miscounting"
    breaks = "test_open_says_what_the_destination_holds"

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        return sum(len(event.text) for event in self.there.of(stream) if isinstance(event, Text))


class Forgetful(Shelf):
    """Claims to be exactly once, and cannot say what it has."""

    name = "forgetful"
    breaks = "test_open_says_what_the_destination_holds"

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        return None

    def write(self, chunk: Chunk) -> None:
        # It does leave out what it has.
        if not any(isinstance(event, Text) and event.end >= chunk.end for event in self.there.of(chunk.stream)):
            super().write(chunk)


class Possessive(Shelf):
    """Keeps a stream for itself, also when it is long gone."""

    name = "possessive"
    breaks = "test_another_sink_goes_on_with_an_attempt"

    def open(self, stream: StreamInfo) -> int | None:
        if self.there.takers.setdefault(_key(stream), id(self)) != id(self):
            raise PermissionError("another writer has this stream")
        return super().open(stream)


class Renumbering(Shelf):
    """Gives what it sends again another offset."""

    name = "renumbering"
    breaks = "test_failed_call_is_made_good"
    delivery = Delivery.AT_LEAST_ONCE

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._sent: defaultdict[tuple[str, int], int] = defaultdict(int)

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        return None

    def write(self, chunk: Chunk) -> None:
        offset = self._sent[_key(chunk.stream)]
        self.there.put(replace(Text.of(chunk), offset=offset, end=offset + len(chunk.data)))
        self._sent[_key(chunk.stream)] = offset + len(chunk.data)


class Repeating(Shelf):
    """At most once, and sends its last chunk again when it is opened again."""

    name = "repeating"
    breaks = "test_failed_call_is_made_good"
    delivery = Delivery.AT_MOST_ONCE
    _last: Chunk | None = None

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        if self._last is not None and self._last.stream == stream:
            super().write(self._last)
        return None

    def write(self, chunk: Chunk) -> None:
        super().write(chunk)
        self._last = chunk

    def close(self, stream: StreamInfo, end: End) -> None:
        self._last = None
        super().close(stream, end)


class Once(Shelf):
    """Connects once in its life."""

    name = "once"
    breaks = "test_failed_call_is_made_good"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._connected = False

    def connect(self) -> None:
        if self._connected:
            raise RuntimeError("connected already")
        self._connected = True


class Trusting(Shelf):
    """Knows of no text whose reply it has not seen."""

    name = "trusting"
    breaks = "test_lost_reply_is_made_good"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._position: dict[tuple[str, int], int] = {}

    def open(self, stream: StreamInfo) -> int | None:
        return self._position.setdefault(_key(stream), super().open(stream) or 0)

    def write(self, chunk: Chunk) -> None:
        super().write(chunk)
        self._position[_key(chunk.stream)] = chunk.end


# Gaps


class Assuming(Sieve):
    """Takes it that of every text the beginning is there."""

    name = "assuming"
    breaks = "test_gap_is_told_once"

    def gap(self, gap: Gap) -> None:
        if gap.offset:
            super().gap(gap)


class Emphatic(Sieve):
    """Says it twice where not even the beginning is there."""

    name = "emphatic"
    breaks = "test_gap_is_told_once"

    def gap(self, gap: Gap) -> None:
        super().gap(gap)
        if not gap.offset:
            super().gap(gap)


class Vague(Sieve):
    """Knows where a gap ends, and not where it begins."""

    name = "vague"
    breaks = "test_gap_says_what_is_missing"

    def gap(self, gap: Gap) -> None:
        super().gap(replace(gap, offset=0))


class Tardy(Sieve):
    """Says at the end what was missing."""

    name = "tardy"
    breaks = "test_gap_stands_where_the_text_is_missing"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._missing: list[Gap] = []

    def open(self, stream: StreamInfo) -> int | None:
        return max(super().open(stream) or 0, *(gap.end for gap in self._missing), 0)

    def gap(self, gap: Gap) -> None:
        self._missing.append(gap)

    def close(self, stream: StreamInfo, end: End) -> None:
        while self._missing:
            super().gap(self._missing.pop(0))
        super().close(stream, end)


class Stumbling(Sieve):
    """Loses the second chunk after a gap."""

    name = "stumbling"
    breaks = "test_text_after_a_gap_is_kept"
    _until = 0

    def gap(self, gap: Gap) -> None:
        super().gap(gap)
        self._until = 2

    def write(self, chunk: Chunk) -> None:
        self._until -= 1
        if self._until != 0:
            super().write(chunk)


class Oblivious(Sieve):
    """Says how much text it has, and nothing of what it knows to be missing."""

    name = "oblivious"
    breaks = "test_failed_gap_is_made_good"

    def open(self, stream: StreamInfo) -> int | None:
        super().open(stream)
        return max((event.end for event in self.there.of(stream) if isinstance(event, Text)), default=0)


# Failures


class Unconnected(Shelf):
    """Disconnects what it has not."""

    name = "unconnected"
    breaks = "test_disconnect_works_without_a_connection"
    _client: list[str]

    def connect(self) -> None:
        self._client = []

    def disconnect(self) -> None:
        self._client.clear()


class Strict(Shelf):
    """Wants everything."""

    name = "strict"
    breaks = "test_failure_at_a_method_is_survived"

    def close(self, stream: StreamInfo, end: End) -> None:
        assert end.complete
        super().close(stream, end)


class Sulking(Shelf):
    """Takes nothing any more once it was not given everything."""

    name = "sulking"
    breaks = "test_failed_stream_does_not_harm_another"
    _sulks = False

    def write(self, chunk: Chunk) -> None:
        if not self._sulks:
            super().write(chunk)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._sulks = not end.complete
        super().close(stream, end)


class Explaining(Shelf):
    """Says in the text that there should be more."""

    name = "explaining"
    breaks = "test_call_that_blocked_leaves_a_valid_prefix"

    def close(self, stream: StreamInfo, end: End) -> None:
        held = sum(len(event.text) for event in self.there.of(stream) if isinstance(event, Text))
        if not end.complete:
            self.there.put(_text(stream, held, "(cut off)"))
        super().close(stream, end)


class Lonely(Sieve):
    """Says goodbye to its last stream, and takes it that there was one."""

    name = "lonely"
    breaks = "test_failure_at_a_method_is_survived"
    heartbeat = 60.0

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._streams: list[StreamInfo] | None = None

    def connect(self) -> None:
        self._streams = []

    def open(self, stream: StreamInfo) -> int | None:
        assert self._streams is not None
        self._streams.append(stream)
        return super().open(stream)

    def disconnect(self) -> None:
        if self._streams is not None:
            self._streams.pop()


class Beaten(Shelf):
    """Knows which streams were seen alive."""

    heartbeat = 60.0

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        self._alive: set[tuple[str, int]] = set()

    def beat(self, stream: StreamInfo) -> None:
        self._alive.add(_key(stream))

    def close(self, stream: StreamInfo, end: End) -> None:
        if not end.complete and _key(stream) in self._alive:
            self.mourn(stream)
        super().close(stream, end)

    def mourn(self, stream: StreamInfo) -> None:
        """A stream that was seen alive has been given up."""
        raise NotImplementedError


class Deaf(Shelf):
    """Takes silence for success."""

    name = "deaf"
    breaks = "test_lost_reply_is_noticed"

    def write(self, chunk: Chunk) -> None:
        with suppress(ConnectionResetError):
            super().write(chunk)


class Disbelieving(Beaten):
    """Does not let go of what was alive a moment ago."""

    name = "disbelieving"
    breaks = "test_failure_at_a_method_is_survived"

    def mourn(self, stream: StreamInfo) -> None:
        raise ValueError(f"stream {stream.id!r} is alive")


class Lamenting(Beaten):
    """Adds a word about what was alive a moment ago."""

    name = "lamenting"
    breaks = "test_call_that_blocked_leaves_a_valid_prefix"

    def mourn(self, stream: StreamInfo) -> None:
        held = sum(len(event.text) for event in self.there.of(stream) if isinstance(event, Text))
        self.there.put(_text(stream, held, "(alas)"))


class Ticking(Shelf):
    """Shows in the text that it lives, with every third beat."""

    name = "ticking"
    breaks = "test_beat_changes_no_text"
    heartbeat = 60.0
    _beats = 0

    def beat(self, stream: StreamInfo) -> None:
        self._beats += 1
        if self._beats % 3:
            return
        held = sum(len(event.text) for event in self.there.of(stream) if isinstance(event, Text))
        self.there.put(_text(stream, held, "."))


_LEFT_OPEN: list[IO[Any]] = []


class Leaking(Shelf):
    """Leaves a file open where a stream was given up."""

    name = "leaking"
    breaks = "test_disconnect_releases_everything_after_errors"

    def close(self, stream: StreamInfo, end: End) -> None:
        super().close(stream, end)
        if not end.complete:
            _LEFT_OPEN.append(Path("/dev/null").open("rb"))  # noqa: SIM115 - that is what is wrong with it


class Haunting(Shelf):
    """Leaves a thread behind where a stream was given up."""

    name = "haunting"
    breaks = "test_disconnect_releases_everything_after_errors"

    def close(self, stream: StreamInfo, end: End) -> None:
        super().close(stream, end)
        if not end.complete:
            threading.Thread(target=threading.Event().wait, name="ghost", daemon=True).start()


class Polite(Shelf):
    """Says goodbye to its destination before it stops its thread, and counts on an answer."""

    name = "polite"
    breaks = "test_disconnect_releases_everything_after_errors"
    _leaving: threading.Event | None = None

    def connect(self) -> None:
        if self._leaving is None:
            self._leaving = threading.Event()
            threading.Thread(target=self._leaving.wait, name="courtesy", daemon=True).start()

    def disconnect(self) -> None:
        if self._leaving is not None:
            self.there.put(Gap(stream="goodbye", attempt=1, offset=0, end=1))
            self._leaving.set()


# The class and its distribution


class Eager(Shelf):
    """Looks at the disk when it is made."""

    name = "eager"
    breaks = "test_constructor_does_no_io"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        super().__init__(target, options)
        with Path("/dev/null").open("rb"):
            pass


class Heavy(Shelf):
    """Imports a library when it is made."""

    name = "heavy"
    breaks = "test_no_client_library_is_imported_before_connect"

    def __init__(self, target: str | None = None, options: SinkOptions | None = None) -> None:
        import hypothesis  # noqa: F401 - any that a sink does not need

        super().__init__(target, options)


class TerseOptions(SinkOptions):
    """Options that nobody has described."""

    speed: int = 1


class Terse(Shelf):
    """Leaves it to users to guess."""

    name = "terse"
    breaks = "test_every_option_is_described"
    Options = TerseOptions


class Hidden(Shelf):
    """Has a name that leads elsewhere."""

    name = "hidden"
    breaks = "test_entry_point_leads_to_the_sink"


class Indiscreet(Shelf):
    """Shows its whole target."""

    name = "indiscreet"
    breaks = "test_label_shows_no_secret"

    @property
    def label(self) -> str | None:
        return self.target


WHOLE: tuple[type[Shelf | AsyncShelf], ...] = (Shelf, Sieve, Stateless, AsyncShelf)
BROKEN: tuple[type[Shelf], ...] = (
    Assuming,
    Buffering,
    Continuing,
    Counting,
    Deaf,
    Disbelieving,
    Dropping,
    Eager,
    Emphatic,
    Explaining,
    Forgetful,
    Haunting,
    Heavy,
    Hidden,
    Indiscreet,
    Lamenting,
    Leaking,
    Lonely,
    Miscounting,
    Narrow,
    Oblivious,
    Once,
    Optimistic,
    Overtaking,
    Polite,
    Possessive,
    Presuming,
    Renumbering,
    Repeating,
    SingleMinded,
    Smiling,
    Strict,
    Stumbling,
    Stuttering,
    Sulking,
    Talkative,
    Tardy,
    Terminated,
    Terse,
    TextMode,
    Thorough,
    Ticking,
    Tired,
    Trusting,
    Unconnected,
    Vague,
)


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """All but the one that cannot be found."""
    return [*WHOLE, *(sink for sink in BROKEN if sink is not Hidden)]
