"""One lane against its contract: any interleaving of writes, faults, ends and deadlines.

No thread and no clock but the test's own: the lane's rounds are taken one by one, and time passes where a rule says so.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamfan.dispatcher import Dispatcher
from streamfan.errors import Permanent, Retryable
from streamfan.events import Chunk, End, Gap, StreamInfo
from streamfan.lane import Lane
from streamfan.options import LaneOptions
from streamfan.report import DeliveryReport
from streamfan.sink import Delivery, Sink
from streamfan.stream import Stream
from tests.support.streams import info

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100
TEXTS = ["a", "é ", "some words ", "😀" * 5, "x" * 60]
FAULTS: dict[str, Callable[[], BaseException]] = {
    "again": lambda: Retryable("busy"),
    "reset": lambda: ConnectionResetError("reset"),
    "refused": lambda: Permanent("refused"),
    "interrupted": KeyboardInterrupt,
}
METHODS = st.sampled_from(["open", "write", "write", "close"])
# Most may pass: a stream that is given up has little left to show.
USUAL = ["again", "reset", "again", "reset", "again", "refused", "interrupted"]


class Destination(Sink):
    """Keeps what it is given, and checks at every call what a sink is promised; fails as it is told to."""

    name = "destination"
    accepts_gaps = True

    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self.delivery = delivery
        # What the next calls of a method raise, and whether what they were asked for has happened all the same.
        self.faults: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        # What happens while the next call of a method has not returned.
        self.meanwhile: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self.close_tried: set[str] = set()
        self.broken: list[str] = []
        self.held: dict[str, int] = {}
        self.pieces: dict[str, list[Chunk | Gap]] = {}
        self.closes: dict[str, list[End]] = {}
        self.opened: set[str] = set()
        # How much of a stream has been taken for sure, and the piece that nobody knows about.
        self.doubt: dict[str, Chunk | Gap | None] = {}

    def open(self, stream: StreamInfo) -> int | None:
        self._promise(not self.closes.get(stream.id), "opened after its close has returned")
        self._fail("open", lambda: None)
        self.opened.add(stream.id)
        return self.held.get(stream.id, 0) if self.delivery is Delivery.EXACTLY_ONCE else None

    def write(self, chunk: Chunk) -> None:
        self._promise(len(chunk.data) > 0, "an empty chunk")
        self._promise(chunk.data.decode() == chunk.text, "half a character")
        self._take(chunk.stream.id, chunk)

    def gap(self, gap: Gap) -> None:
        self._promise(gap.offset < gap.end, "an empty gap")
        self._take(gap.stream, gap)

    def close(self, stream: StreamInfo, end: End) -> None:
        self._promise(stream.id in self.opened, "closed, and never opened")
        self._promise(not self.closes.get(stream.id), "closed twice")
        self.close_tried.add(stream.id)
        self._fail("close", lambda: None)
        self.closes.setdefault(stream.id, []).append(end)

    def _promise(self, kept: bool, what: str) -> None:
        # Not an assert: whatever a sink raises is the lane's daily bread.
        if not kept:
            self.broken.append(what)

    def _take(self, id: str, piece: Chunk | Gap) -> None:
        self._promise(id in self.opened, "written to before it was opened")
        self._promise(not self.closes.get(id), "written to after its close")
        self._check_place(id, piece)
        self.doubt[id] = piece
        self._fail("write", lambda: self._keep(id, piece))
        self._keep(id, piece)
        self.doubt[id] = None

    def _check_place(self, id: str, piece: Chunk | Gap) -> None:
        held, doubt = self.held.get(id, 0), self.doubt.get(id)
        match self.delivery:
            case Delivery.EXACTLY_ONCE:
                self._promise(piece.offset == held, "a hole, or text for the second time")
            case Delivery.AT_LEAST_ONCE:
                self._promise(doubt is None or piece == doubt, "another piece in place of the one in doubt")
                self._promise(doubt is not None or piece.offset == held, "a hole, or text for the second time")
            case Delivery.AT_MOST_ONCE:
                self._promise(doubt is None or piece.offset == doubt.end, "a piece in doubt was sent again")
                self._promise(doubt is not None or piece.offset == held, "a hole, or text for the second time")

    def _keep(self, id: str, piece: Chunk | Gap) -> None:
        if self.held.get(id, 0) < piece.end:
            self.held[id] = piece.end
            self.pieces.setdefault(id, []).append(piece)

    def _fail(self, method: str, effect: Callable[[], None]) -> None:
        if self.meanwhile[method]:
            self.meanwhile[method].pop(0)()
        if self.faults[method]:
            fault, happened = self.faults[method].pop(0)
            if happened:
                effect()
            raise FAULTS[fault]()


class LaneContract(RuleBasedStateMachine):
    """Rules are what a program, a destination and a clock can do; the invariants are the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.now = 1000.0
        for module in ("lane.lane", "lane.serving", "lane.calls", "stream", "dispatcher"):
            self.patch.setattr(f"streamfan.{module}.monotonic", lambda: self.now)
        self.dispatcher = Dispatcher()
        self.streams: list[Stream] = []
        self.settled: list[tuple[Stream, DeliveryReport]] = []

    @initialize(
        delivery=st.sampled_from(Delivery),
        when_full=st.sampled_from(["fail", "block", "skip"]),
        boundary=st.sampled_from(["chunk", "chunk", "word", "all"]),
        sequential=st.booleans(),
    )
    def begin(self, delivery: Delivery, when_full: str, boundary: str, sequential: bool) -> None:
        options = {"when_full": when_full, "boundary": boundary, "sequential": sequential, "linger": 0.5}
        lane = LaneOptions.model_validate({**options, "buffer_bytes": LIMIT, "max_bytes": 16, "max_elapsed": 20})
        self.sink = Destination(delivery)
        self.lane = Lane("lane", self.sink, lane, self.dispatcher, lambda *settled: self.settled.append(settled))
        self.dispatcher.brake.exempt()
        self.dispatcher.add(self.lane)
        self.lane._working.acquire()
        for _ in range(3):
            self.open_stream()
        self._serve(4)

    # What a program does

    @precondition(lambda self: len(self.streams) < 8)
    @rule()
    def open_stream(self) -> None:
        self.streams.append(Stream(info(f"s{len(self.streams)}"), self.dispatcher))
        self.lane.add(self.streams[-1])

    @precondition(lambda self: self.open)
    @rule(data=st.data(), texts=st.lists(st.sampled_from(TEXTS), min_size=1), rounds=st.integers(2, 10))
    def write(self, data: st.DataObject, texts: list[str], rounds: int) -> None:
        for text in texts:
            data.draw(st.sampled_from(self.open)).write(text)
        self._serve(rounds)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.open)).end()

    @property
    def open(self) -> list[Stream]:
        return [stream for stream in self.streams if not stream.ended]

    # What a destination does

    @rule(method=METHODS, faults=st.lists(st.tuples(st.sampled_from(USUAL), st.booleans()), min_size=1, max_size=3))
    def fail(self, method: str, faults: list[tuple[str, bool]]) -> None:
        self.sink.faults[method] += faults

    @rule(
        method=METHODS,
        seconds=st.sampled_from([1.5, 31.0]),
        text=st.sampled_from(["", "x" * 2 * LIMIT]),
        ends=st.booleans(),
    )
    def hang(self, method: str, seconds: float, text: str, ends: bool) -> None:
        """The next call hangs, and what others do meanwhile is seen by the fan's clock."""

        def meanwhile() -> None:
            for stream in self.open[:2]:
                stream.write(text)
                if ends:
                    stream.end()
            for _ in range(3):
                self.dispatcher._look()
                self.now += seconds

        self.sink.meanwhile[method].append(meanwhile)

    # What a clock does

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.5, 6.0, 31.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def look(self) -> None:
        self.lane._working.release()
        self.dispatcher._look()
        self.lane._working.acquire()

    @rule(rounds=st.integers(1, 8))
    def serve(self, rounds: int) -> None:
        self._serve(rounds)

    def _serve(self, rounds: int) -> None:
        for _ in range(rounds):
            self.lane._serving.round()
            self.now += 0.3

    @precondition(lambda self: len(self.streams) > 5)
    @rule(seconds=st.sampled_from([0.0, 5.0, 50.0]))
    def set_a_deadline(self, seconds: float) -> None:
        self.lane.expire(self.now + seconds)

    # The contract

    @invariant()
    def every_call_was_in_its_place(self) -> None:
        assert not self.streams or not self.sink.broken

    @invariant()
    def pieces_follow_each_other_and_are_the_text(self) -> None:
        for stream in self.streams:
            position = 0
            for piece in self.sink.pieces.get(stream.id, []):
                if self.sink.delivery is not Delivery.AT_MOST_ONCE:
                    assert piece.offset == position
                assert piece.offset >= position
                if isinstance(piece, Chunk):
                    assert stream.read(0)[piece.offset : piece.end] == piece.data
                position = piece.end

    def teardown(self) -> None:
        if self.streams:
            self._finish()
        self.patch.undo()

    def _finish(self) -> None:
        """End all, let time pass until the lane has done, and look at what is left."""
        for stream in self.open:
            stream.end()
        self.lane.finish()
        for _ in range(500):
            if self.lane._serving.done:
                break
            self.lane._serving.round()
            self.look()
            self.now += 1.0
        self.look()
        assert self.lane._serving.done, "the lane goes on for ever"
        assert {stream for stream, _ in self.settled} == set(self.streams)
        assert len(self.settled) == len(self.streams), "settled twice"
        assert not self.sink.broken
        for stream, report in self.settled:
            self._check(stream, report)

    def _check(self, stream: Stream, report: DeliveryReport) -> None:
        closes, pieces = self.sink.closes.get(stream.id, []), self.sink.pieces.get(stream.id, [])
        gaps = [piece for piece in pieces if isinstance(piece, Gap)]
        assert len(closes) <= 1
        if closes:
            assert closes[0].complete == report.complete
        if report.complete:
            assert not gaps
            assert b"".join(piece.data for piece in pieces if isinstance(piece, Chunk)) == stream.read(0)
            assert (report.missing, report.lost, report.skipped, report.error) == (0, 0, 0, None)
        else:
            assert report.error is not None or report.lost or report.skipped, "incomplete, and nobody says why"
        # Where the destination is down, one close that fails is enough to know what becomes of the others.
        closable = stream.id in self.sink.opened and self.lane._serving._outage.error is None
        assert not closable or stream.id in self.sink.close_tried, "open, and never closed"
        if stream.id in self.sink.opened and not closes:
            assert report.error is not None, "not closed, and nobody says why"


LaneContract.TestCase.settings = settings(
    max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLaneContract = LaneContract.TestCase
