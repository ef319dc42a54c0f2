"""The append-only text: offsets, surrogates, token ids, outcomes, readers."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.dispatcher import Dispatcher
from streamfan.errors import StreamEnded, StreamFailed, UsageError
from streamfan.stream import Stream
from tests.support.sinks import DEADLINE, wait_for
from tests.support.streams import dispatching, info, silent_stream

if TYPE_CHECKING:
    from collections.abc import Callable

SURROGATES = st.text(st.characters(codec=None), max_size=5)


@given(st.lists(SURROGATES))
def test_odd_text_never_raises_and_halves_of_a_pair_are_joined(pieces: list[str]) -> None:
    stream = silent_stream()

    for piece in pieces:
        stream.write(piece)
    stream.end()

    joined = "".join(pieces)
    assert stream.text == joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_surrogate_pair_split_over_two_writes_becomes_one_character() -> None:
    stream = silent_stream()

    stream.write("a\ud83d")
    stream.write("\ude00b")

    assert stream.text == "a😀b"


def test_lone_surrogate_at_the_end_becomes_a_replacement_character() -> None:
    stream = silent_stream()

    stream.write("a\ud83d")
    stream.end()

    assert stream.text == "a\ufffd"


def test_length_is_in_bytes() -> None:
    stream = silent_stream()

    stream.write("日本")

    assert stream.length == 6


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 3))), st.data())
def test_every_token_id_is_in_exactly_one_place(writes: list[tuple[str, int]], data: st.DataObject) -> None:
    stream = silent_stream()
    number = 0
    for text, ids in writes:
        stream.write(text, range(number, number + ids))
        number += ids
    stream.end()
    end = stream.outcome
    assert end is not None

    collected: list[int] = []
    offset = 0
    while offset < stream.length:
        piece = stream.read(offset, data.draw(st.integers(4, 12)))
        collected += stream.chunk(offset, piece).token_ids
        offset += len(piece)

    assert [*collected, *end.token_ids] == list(range(number))
    assert end.tokens == number


def test_token_ids_without_text_travel_with_the_next_text() -> None:
    stream = silent_stream()

    stream.write("", [1])
    stream.write("a", [2])
    stream.write("", [3])
    stream.end()

    assert stream.chunk(0, stream.read(0)).token_ids == (1, 2)
    assert stream.outcome is not None
    assert stream.outcome.token_ids == (3,)


@given(st.text(min_size=1), st.integers(4, 9))
def test_read_never_splits_a_character(text: str, limit: int) -> None:
    stream = silent_stream()
    stream.write(text.encode("utf-8", "replace").decode())

    offset = 0
    while offset < stream.length:
        piece = stream.read(offset, limit)
        assert piece
        piece.decode()
        offset += len(piece)


def test_first_outcome_stays() -> None:
    stream = silent_stream()

    stream.end("length")
    stream.fail(ValueError("late"))
    stream.end("stop")

    assert stream.finish_reason == "length"


def test_finish_reason_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'done' is none of stop, length, cancelled, error"):
        silent_stream().end("done")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, b"bytes", 3])
def test_what_is_no_text_is_refused_and_changes_nothing(text: object) -> None:
    stream = silent_stream()

    with pytest.raises(TypeError, match="expected str"):
        stream.write(text, [1])  # type: ignore[arg-type]

    assert (stream.tokens, stream.length) == (0, 0)


def test_writing_after_the_end_says_how_the_stream_ended() -> None:
    stream = silent_stream()
    stream.end("length")

    with pytest.raises(StreamEnded, match="length"):
        stream.write("x")


def test_outcome_proves_the_text() -> None:
    stream = silent_stream()
    stream.write("héllo", [1, 2])

    stream.end()

    end = stream.outcome
    assert end is not None
    assert (end.offset, end.sha256) == (6, hashlib.sha256("héllo".encode()).hexdigest())
    assert end.ttft is not None
    assert 0 <= end.ttft <= end.duration


def test_stream_without_text_has_no_time_to_first_token() -> None:
    stream = silent_stream()
    stream.end()

    assert stream.outcome is not None
    assert stream.outcome.ttft is None


def test_with_ends_the_stream() -> None:
    with silent_stream() as stream:
        stream.write("x")

    assert stream.finish_reason == "stop"


def test_exception_in_with_fails_the_stream_and_passes() -> None:
    stream = silent_stream()

    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError("by zero")

    assert stream.outcome is not None
    assert stream.outcome.error is not None
    assert (stream.outcome.error.type, stream.outcome.error.message) == ("ZeroDivisionError", "by zero")


@pytest.mark.parametrize(
    ("interruption", "by"),
    [(KeyboardInterrupt, "keyboard"), (GeneratorExit, "reader"), (asyncio.CancelledError, "task")],
)
def test_interruption_in_with_cancels_the_stream_and_keeps_the_text(interruption: type[BaseException], by: str) -> None:
    stream = silent_stream()

    with pytest.raises(interruption), stream:
        stream.write("partial")
        raise interruption

    assert (stream.finish_reason, stream.text) == ("cancelled", "partial")
    assert stream.cancelled is not None
    assert stream.cancelled.by == by


def test_first_cancel_reason_stays_and_reaches_the_end_event() -> None:
    stream = silent_stream()

    stream.cancel("enough", by="ann")
    stream.cancel("too late", by="bob")
    stream.write("a few more")
    stream.end()

    assert stream.outcome is not None
    assert stream.outcome.cancel is not None
    assert (stream.outcome.cancel.reason, stream.outcome.cancel.by) == ("enough", "ann")
    assert stream.text == "a few more"


def test_cancel_calls_back_once_also_who_comes_later() -> None:
    stream = silent_stream()
    called: list[str] = []
    stream.on_cancel(lambda: called.append("early"))

    stream.cancel()
    stream.cancel()
    stream.on_cancel(lambda: called.append("late"))

    assert called == ["early", "late"]


def test_cancel_works_while_the_publisher_holds_the_lock() -> None:
    stream = silent_stream()

    with stream._lock:  # a signal handler may run in the middle of a write
        stream.cancel("signal", by="handler")

    assert stream.cancelled is not None


def test_cancel_after_the_end_changes_nothing() -> None:
    stream = silent_stream()
    stream.end()

    stream.cancel()

    assert stream.cancelled is None


def test_reader_gets_history_then_live_text_then_stops() -> None:
    with dispatching() as dispatcher:
        stream = Stream(info(), dispatcher)
        stream.write("one ")
        reader = iter(stream)
        assert next(reader) == "one "

        def produce() -> None:
            stream.write("two")
            stream.end()

        producer = threading.Thread(target=produce)
        producer.start()

        assert "".join(reader) == "two"
        producer.join()


def test_publisher_pays_the_same_for_any_number_of_readers() -> None:
    class Counting(Dispatcher):
        calls = 0

        def call_soon(self, *callbacks: Callable[[], object]) -> None:
            self.calls += 1
            super().call_soon(*callbacks)

    dispatcher = Counting()
    stream = Stream(info(), dispatcher)
    rung: list[int] = []
    for reader in range(100):
        stream._when_past(0, partial(rung.append, reader))

    stream.write("text")

    assert (dispatcher.calls, rung) == (1, []), "the dispatcher's thread is to ring, not the publisher's"
    dispatcher._look()
    assert rung == list(range(100))


def test_end_is_told_once_also_to_who_comes_later() -> None:
    dispatcher = Dispatcher()
    stream = Stream(info(), dispatcher)
    told: list[str] = []
    stream.on_end(lambda: told.append("early"))
    stream.write("text")
    dispatcher._look()
    assert told == []

    stream.end()
    stream.on_end(lambda: told.append("late"))
    dispatcher._look()

    assert told == ["early", "late"]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_end_is_told_to_the_others_and_to_readers_after_a_callback_that_raises(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    read, told = threading.Event(), threading.Event()
    with dispatching() as dispatcher:
        stream = Stream(info(), dispatcher)
        stream.on_end(fail)
        stream.on_end(told.set)
        stream.end()
        wait_for(told)
        later = Stream(info(), dispatcher)

        reader = threading.Thread(target=lambda: read.set() if "".join(later) == "text" else None, daemon=True)
        reader.start()
        later.write("text")
        later.end()

        wait_for(read)


def test_reader_that_waits_raises_when_the_producer_fails() -> None:
    with dispatching() as dispatcher:
        stream = Stream(info(), dispatcher)
        stream.write("partial")
        reader = iter(stream)
        assert next(reader) == "partial"
        outcome: list[BaseException] = []

        def read() -> None:
            try:
                next(reader)
            except StreamFailed as error:
                outcome.append(error)

        waiting = threading.Thread(target=read)
        waiting.start()
        stream.fail(RuntimeError("out of memory"))
        waiting.join(DEADLINE)

        assert [str(error) for error in outcome] == ["stream 's' failed: RuntimeError: out of memory"]


def test_reading_again_gives_the_whole_text_again() -> None:
    stream = silent_stream()
    stream.write("ab")
    stream.write("c")
    stream.end()

    assert ("".join(stream), "".join(stream)) == ("abc", "abc")


def test_follow_starts_at_an_offset() -> None:
    stream = silent_stream()
    stream.write("日本語")
    stream.end()

    assert "".join(stream.follow(3)) == "本語"


@pytest.mark.parametrize("offset", [-1, 1, 10])
def test_follow_refuses_an_offset_that_is_no_boundary(offset: int) -> None:
    stream = silent_stream()
    stream.write("日本語")
    stream.end()

    with pytest.raises(ValueError, match=f"offset {offset}"):
        next(iter(stream.follow(offset)))


def test_async_reader_gets_everything_from_a_producer_in_a_thread() -> None:
    async def read(stream: Stream) -> str:
        return "".join([text async for text in stream])

    with dispatching() as dispatcher:
        stream = Stream(info(), dispatcher)

        def produce() -> None:
            with stream:
                for number in range(50):
                    stream.write(f"{number} ")

        producer = threading.Thread(target=produce)
        producer.start()
        text = asyncio.run(asyncio.wait_for(read(stream), DEADLINE))
        producer.join()

    assert text == "".join(f"{number} " for number in range(50))


def test_async_reader_raises_on_failure() -> None:
    async def read(stream: Stream) -> None:
        async for _ in stream:
            pass

    stream = silent_stream()
    stream.fail("broken")

    with pytest.raises(StreamFailed, match="broken"):
        asyncio.run(read(stream))


def test_reader_whose_event_loop_is_closed_does_not_disturb_the_others() -> None:
    async def wait_a_moment(stream: Stream) -> None:
        reader = stream.afollow()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reader), 0.01)
        await reader.aclose()

    with dispatching() as dispatcher:
        stream = Stream(info(), dispatcher)
        asyncio.run(wait_a_moment(stream))

        stream.write("after the loop was closed")
        stream.end()

        assert "".join(stream) == "after the loop was closed"


def test_many_threads_can_write() -> None:
    stream = silent_stream()

    def write() -> None:
        for _ in range(500):
            stream.write("ab", [1])

    threads = [threading.Thread(target=write) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (stream.text, stream.tokens) == ("ab" * 2000, 2000)


def test_disowned_stream_has_failed_and_its_readers_do_not_wait() -> None:
    stream = Stream(info(), Dispatcher())
    stream.write("x")

    stream.disown()

    with pytest.raises(StreamFailed, match="parent process"):
        "".join(stream)


async def test_reader_that_waits_in_vain_again_and_again_is_remembered_once() -> None:
    stream = silent_stream()

    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(stream.afollow())

    assert not stream._waiting


def test_end_says_what_its_producer_had_to_say() -> None:
    ended, failed = silent_stream(), silent_stream()

    ended.end(meta={"tool_calls": [{"name": "f"}]})
    failed.fail("gone", meta={"tool_calls": []})

    assert ended.outcome is not None
    assert failed.outcome is not None
    assert (ended.outcome.meta, failed.outcome.meta) == ({"tool_calls": [{"name": "f"}]}, {"tool_calls": []})


def test_what_readers_cannot_be_told_ends_nothing() -> None:
    stream = silent_stream()

    with pytest.raises(UsageError, match="no JSON form"):
        stream.end(meta={"a": object()})

    assert not stream.ended
