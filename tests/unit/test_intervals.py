"""How fast text came: by tokens where there are ids, by chunks where there are none."""

from __future__ import annotations

import statistics
from itertools import pairwise
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan import Fan, Stream
from streamfan.intervals import Intervals, Rhythm
from streamfan.report import StreamReport
from tests.support.sinks import DEADLINE
from tests.support.streams import silent_stream


def measured(*writes: tuple[float, int]) -> Intervals:
    """Of text that came at these times, each made by so many tokens."""
    rhythm = Rhythm()
    for time, tokens in writes:
        rhythm.add(time, tokens)
    intervals = rhythm.read()
    assert intervals is not None
    return intervals


def test_intervals_are_those_between_tokens() -> None:
    intervals = measured((10.0, 1), (10.1, 1), (10.2, 1), (10.6, 1))

    assert (intervals.unit, intervals.count) == ("token", 3)
    assert intervals.rate == pytest.approx(5.0)
    assert intervals.mean == pytest.approx(0.2)
    assert intervals.p50 == pytest.approx(0.1, rel=0.01)
    assert intervals.p99 == pytest.approx(0.4, rel=0.01)


def test_tokens_that_come_at_once_share_the_time() -> None:
    intervals = measured((0.0, 1), (0.3, 3), (0.4, 1))

    assert intervals.count == 4
    assert intervals.p99 == pytest.approx(0.1, rel=0.01)


def test_tokens_of_the_first_text_are_no_intervals() -> None:
    """A prompt that is shown comes at once, and was not generated."""
    assert measured((0.0, 50), (0.5, 1), (1.0, 1)).rate == pytest.approx(2.0)


def test_chunks_are_not_taken_for_tokens() -> None:
    intervals = measured((0.0, 0), (0.5, 0), (1.0, 0))

    assert (intervals.unit, intervals.count) == ("chunk", 2)
    assert intervals.rate == pytest.approx(2.0)


def test_text_without_an_id_counts_for_the_next_token() -> None:
    intervals = measured((0.0, 1), (0.5, 0), (1.0, 1), (1.5, 0))

    assert (intervals.unit, intervals.count) == ("token", 1)
    assert intervals.mean == pytest.approx(1.0)


@pytest.mark.parametrize("count", [0, 1])
def test_there_are_none_without_a_second_text(count: int) -> None:
    rhythm = Rhythm()
    for _ in range(count):
        rhythm.add(1.0, 1)

    assert rhythm.read() is None


def test_texts_of_one_moment_are_no_error() -> None:
    assert measured((1.0, 1), (1.0, 1)).p99 < 1e-6


@given(st.lists(st.floats(1e-6, 100.0), min_size=2, max_size=200))
def test_shares_are_those_of_the_sorted_intervals(gaps: list[float]) -> None:
    times = [sum(gaps[:count]) for count in range(len(gaps) + 1)]
    real = sorted(later - earlier for earlier, later in pairwise(times))

    intervals = measured(*((time, 1) for time in times))

    assert intervals.mean == pytest.approx(statistics.fmean(real))
    for share, found in ((0.5, intervals.p50), (0.99, intervals.p99)):
        rank = next(rank for rank in range(len(real)) if rank + 1 >= share * len(real))
        assert found == pytest.approx(max(1e-9, real[rank]), rel=0.01)


def test_millions_of_intervals_need_no_more_memory_than_a_few() -> None:
    rhythm, time = Rhythm(), 0.0
    for count in range(20_000):
        time += 0.001 + count * 1e-7
        rhythm.add(time, 1)

    assert len(rhythm._tokens._counts) < 200


def test_stream_counts_the_ids_of_each_write() -> None:
    stream = silent_stream()
    before = monotonic()
    stream.write("prompt", [1, 2, 3])
    for text, ids in (("a", [4]), ("", [5]), ("b", [6]), ("c", [])):
        stream.write(text, ids)
    running = stream.intervals
    stream.end()

    intervals = stream.intervals
    assert running is None
    assert intervals is not None
    assert (intervals.unit, intervals.count) == ("token", 3)
    assert 0 < intervals.mean <= monotonic() - before


def test_report_and_its_callback_say_how_fast_it_was() -> None:
    told: list[StreamReport] = []

    def finished(stream: Stream, report: StreamReport) -> None:
        told.append(report)

    with Fan(lambda text, end: None, close_timeout=DEADLINE) as fan:
        fan.observe(finished)
        with fan.open() as stream:
            for number in range(5):
                stream.write("x", [number])

    (report,) = fan.report.streams
    assert report.intervals is not None
    assert (report.intervals.unit, report.intervals.count) == ("token", 4)
    assert told == [report]
    assert fan.report.to_dict()["streams"][0]["intervals"]["p99"] == report.intervals.p99
