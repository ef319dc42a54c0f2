"""The streamers under transformers' names: the same scripts with either import, and what was wrong with those."""

from __future__ import annotations

import asyncio
import gc
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

import streamfan
from streamfan import AsyncTextIteratorStreamer, Fan, StreamFailed, TextIteratorStreamer, TextStreamer
from streamfan.errors import UnsupportedDecode, UsageError
from tests.support.scripted import Script, encode, model, tokenizer
from tests.support.sinks import wait_until
from tests.support.tokenizers import byte_fallback, fast

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "Hé 😀 the fox 日本 didn't\n\n  see the river and https://example.org/a/very/long/address"
PROMPT = "The fox"
PATIENCE = 30.0

PRINTED = """
streamer = TextStreamer(tokenizer, skip_special_tokens=True)
model.generate(**inputs, streamer=streamer, max_new_tokens=90, **scripted())
"""
PRINTED_WITHOUT_PROMPT = """
streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
for _ in range(2):
    model.generate(**inputs, streamer=streamer, max_new_tokens=90, **scripted())
"""
SUBCLASSED = """
class Counting(TextStreamer):
    def __init__(self, tokenizer, **kwargs):
        super().__init__(tokenizer, **kwargs)
        self.puts, self.texts, self.ends = 0, [], []

    def put(self, value):
        self.puts += 1
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False):
        self.texts.append(text)
        self.ends.append(stream_end)

    def end(self):
        super().end()
        print("[generated", self.puts, "]")

streamer = Counting(tokenizer, skip_prompt=True)
model.generate(**inputs, streamer=streamer, max_new_tokens=90, **scripted())
print("".join(streamer.texts), sum(streamer.ends), streamer.ends[-1], isinstance(streamer, BaseStreamer))
print(streamer.skip_prompt, streamer.decode_kwargs, streamer.tokenizer is tokenizer, streamer.next_tokens_are_prompt)
"""
ITERATED = """
streamer = TextIteratorStreamer(tokenizer, True, 30.0, skip_special_tokens=True)
for _ in range(2):
    thread = Thread(
        target=model.generate, kwargs=dict(**inputs, streamer=streamer, max_new_tokens=90, **scripted())
    )
    thread.start()
    generated_text = ""
    for new_text in streamer:
        generated_text += new_text
    thread.join()
    print(generated_text)
"""
QUEUED_BY_A_SUBCLASS = """
class Tagged(TextIteratorStreamer):
    def on_finalized_text(self, text, stream_end=False):
        self.text_queue.put((len(text) > 0, text), timeout=self.timeout)
        if stream_end:
            self.text_queue.put(self.stop_signal, timeout=self.timeout)

streamer = Tagged(tokenizer, skip_prompt=True, timeout=30.0)
thread = Thread(target=model.generate, kwargs=dict(**inputs, streamer=streamer, max_new_tokens=90, **scripted()))
thread.start()
print("".join(text for _, text in streamer))
thread.join()
"""
TIMED_OUT = """
streamer = TextIteratorStreamer(tokenizer, timeout=0.01)
try:
    next(streamer)
except queue.Empty:
    print("nothing came")
"""
IN_ASYNCIO = """
async def main():
    streamer = AsyncTextIteratorStreamer(tokenizer, skip_prompt=True, timeout=30.0)
    thread = Thread(target=model.generate, kwargs=dict(**inputs, streamer=streamer, max_new_tokens=90, **scripted()))
    thread.start()
    generated_text = ""
    async for new_text in streamer:
        generated_text += new_text
    print(generated_text)
    thread.join()
    try:
        async with asyncio.timeout(30):
            await AsyncTextIteratorStreamer(tokenizer, timeout=0.01).__anext__()
    except TimeoutError:
        print("nothing came")

asyncio.run(main())
"""
REFUSED = """
try:
    TextStreamer(tokenizer).put(torch.tensor([[1, 2], [3, 4]]))
except ValueError as error:
    print("TextStreamer only supports batch size 1" in str(error))
"""


def scripted(text: str = TEXT, at: Callable[[int], object] = lambda count: None) -> dict[str, Any]:
    return {"logits_processor": [Script(encode(text), at=at)]}


def inputs() -> dict[str, Any]:
    return dict(tokenizer()(PROMPT, return_tensors="pt"))


def ran(script: str, module: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """What the script prints with the classes of this module."""
    names = ("TextStreamer", "TextIteratorStreamer", "AsyncTextIteratorStreamer")
    world = {
        **{name: getattr(module, name) for name in names},
        "BaseStreamer": transformers.generation.streamers.BaseStreamer,
        "Thread": threading.Thread,
        "tokenizer": tokenizer(),
        "model": model(),
        "inputs": inputs(),
        "scripted": scripted,
        "asyncio": asyncio,
        "queue": queue,
        "torch": torch,
    }
    exec(compile(script, "<script>", "exec"), world)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "script",
    [PRINTED, PRINTED_WITHOUT_PROMPT, SUBCLASSED, ITERATED, QUEUED_BY_A_SUBCLASS, TIMED_OUT, IN_ASYNCIO, REFUSED],
    ids=["printed", "prompt skipped", "subclassed", "iterated", "queued", "timeout", "asyncio", "batch"],
)
def test_a_script_prints_the_same_with_either_import(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = ran(script, transformers, capsys)

    assert ran(script, streamfan, capsys) == expected != ""


class Pieces(TextStreamer):
    """Keeps what it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pieces: list[tuple[str, bool]] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.pieces.append((text, stream_end))


def generate(streamer: Any, text: str = TEXT, at: Callable[[int], object] = lambda count: None, **kwargs: Any) -> Any:
    return model().generate(**inputs(), streamer=streamer, **{"max_new_tokens": 120, **scripted(text, at), **kwargs})


def in_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


# Text


def test_text_comes_as_soon_as_it_is_certain_and_none_of_it_is_empty() -> None:
    streamer = Pieces(tokenizer(), skip_prompt=True, skip_special_tokens=True)

    generate(streamer, "https://example.org/a/very/long/address")

    assert len(streamer.pieces) > 10
    assert all(text for text, end in streamer.pieces if not end)
    assert [end for _, end in streamer.pieces].count(True) == 1


def test_no_space_is_lost_after_a_newline() -> None:
    """Where transformers' own clears its cache, a decoder that drops a leading space drops one in the middle."""
    other = fast(byte_fallback())
    ids = other("a\n\n b\n c", add_special_tokens=False).input_ids
    streamer = Pieces(other, skip_prompt=True)

    streamer.put(torch.tensor([[5]]))
    for id in ids:
        streamer.put(torch.tensor([id]))
    streamer.end()

    assert "".join(text for text, _ in streamer.pieces) == other.decode(ids)


def test_decode_kwargs_that_guides_show_as_a_dict_are_honoured() -> None:
    streamer = Pieces(tokenizer(), skip_prompt=True, decode_kwargs={"skip_special_tokens": True})

    generate(streamer, "the fox")

    assert "".join(text for text, _ in streamer.pieces) == "the fox"


def test_what_cannot_be_honoured_is_refused_at_the_start() -> None:
    with pytest.raises(UnsupportedDecode, match="output_offsets"):
        TextStreamer(tokenizer(), output_offsets=True)


# A run that goes wrong


def broken(count: int) -> None:
    if count == 3:
        raise RuntimeError("out of memory")


def test_run_that_was_left_half_way_does_no_harm_to_the_next() -> None:
    streamer = Pieces(tokenizer(), skip_prompt=True, skip_special_tokens=True)
    with pytest.raises(RuntimeError):
        generate(streamer, at=broken)
    left = streamer.streams[0]
    streamer.pieces.clear()

    generate(streamer, "the fox")

    assert "".join(text for text, _ in streamer.pieces) == "the fox"
    assert left.finish_reason == "error"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("at", [0, 3], ids=["before the first token", "later"])
def test_iterator_ends_with_the_error_where_generate_fails_in_a_thread(at: int) -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)

    def fail(count: int) -> None:
        if count == at:
            raise RuntimeError("out of memory")

    thread = threading.Thread(
        target=model().generate, kwargs={**inputs(), "streamer": streamer, "max_new_tokens": 9, **scripted(at=fail)}
    )
    thread.start()
    with pytest.raises(StreamFailed, match="RuntimeError: out of memory") as caught:
        list(streamer)

    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(StopIteration):
        next(streamer)
    thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_iterator_ends_with_the_error_where_generate_refuses_its_arguments() -> None:
    streamer = TextIteratorStreamer(tokenizer())

    thread = threading.Thread(target=model().generate, kwargs={**inputs(), "streamer": streamer, "num_beams": 2})
    thread.start()

    with pytest.raises(StreamFailed, match="beam search"):
        next(streamer)
    thread.join()


def test_iterator_ends_where_the_thread_keeps_the_error_to_itself() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)

    def quietly() -> None:
        with pytest.raises(RuntimeError):
            generate(streamer, at=broken)

    thread = in_thread(quietly)

    with pytest.raises(StreamFailed, match=r"generate\(\) is over"):
        list(streamer)
    thread.join()


def test_iterator_ends_where_a_pool_keeps_the_error_to_itself() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(generate, streamer, at=broken)
        with pytest.raises(StreamFailed, match=r"generate\(\) is over"):
            list(streamer)

    assert isinstance(future.exception(), RuntimeError)


def test_loop_that_is_written_by_hand_may_be_as_slow_as_it_likes() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)
    read = threading.Event()

    def by_hand() -> None:
        streamer.put(torch.tensor([[5]]))
        read.wait(PATIENCE)
        streamer.put(torch.tensor(encode("fox")))
        streamer.end()

    thread = in_thread(by_hand)
    # The consumer looks several times before anything comes.
    threading.Timer(1.5, read.set).start()

    assert list(streamer) == ["fox"]
    thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_error_after_the_end_is_none_of_the_run() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)

    def work() -> None:
        generate(streamer, "the fox")
        mine = streamer
        raise ValueError(f"something else, with {type(mine).__name__}")

    thread = in_thread(work)
    assert "".join(streamer) == "the fox"
    thread.join()

    assert streamer.text_queue.empty()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_async_iterator_ends_with_the_error() -> None:
    streamer = AsyncTextIteratorStreamer(tokenizer(), skip_prompt=True)

    thread = in_thread(lambda: generate(streamer, at=broken))

    with pytest.raises(StreamFailed, match="out of memory"):
        async with asyncio.timeout(PATIENCE):
            async for _ in streamer:
                pass
    await asyncio.to_thread(thread.join)


async def test_async_iterator_ends_where_a_pool_keeps_the_error_to_itself() -> None:
    streamer = AsyncTextIteratorStreamer(tokenizer(), skip_prompt=True)

    generating = asyncio.create_task(asyncio.to_thread(generate, streamer, at=broken))

    with pytest.raises(StreamFailed, match=r"generate\(\) is over"):
        async with asyncio.timeout(PATIENCE):
            async for _ in streamer:
                pass
    with pytest.raises(RuntimeError, match="out of memory"):
        await generating


# Consumers


def test_next_after_the_end_is_the_end_again() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)
    generate(streamer, "the fox")
    assert list(streamer)

    with pytest.raises(StopIteration):
        next(streamer)


def test_slow_consumer_gets_what_it_has_missed_in_one_piece() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)
    generate(streamer)

    assert list(streamer) == [TEXT]


def test_several_consumers_read_one_run() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)
    generate(streamer)

    assert [list(streamer), list(streamer.streams[0]), list(streamer.streams[0])] == [[TEXT]] * 3


def test_async_iterator_can_be_made_without_a_loop() -> None:
    streamer = AsyncTextIteratorStreamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)
    generate(streamer)

    async def read() -> list[str]:
        return [text async for text in streamer]

    assert asyncio.run(read()) == [TEXT]
    generate(streamer, "the fox")


def test_consumer_whose_loop_is_closed_does_not_stop_the_model() -> None:
    async def begin() -> AsyncTextIteratorStreamer:
        return AsyncTextIteratorStreamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)

    streamer = asyncio.run(begin())

    generate(streamer)

    assert streamer.streams[0].text == TEXT


def test_cancelled_run_stops() -> None:
    streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True)

    generate(streamer, at=lambda count: streamer.cancel() if count == 3 else None,
             stopping_criteria=[streamer.stopping_criteria])  # fmt: skip

    assert streamer.streams[0].finish_reason == "cancelled"
    assert streamer.streams[0].tokens < 6


# Sinks


def test_sinks_are_given_the_text_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []

    with TextStreamer(
        tokenizer(),
        skip_prompt=True,
        sinks=[f"file:{tmp_path}/a.txt", lambda text, end: told.append(text)],
        skip_special_tokens=True,
    ) as streamer:
        generate(streamer)

    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == TEXT == "".join(told)
    assert capsys.readouterr().out == TEXT + "\n"


def test_sinks_hear_of_the_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        Pieces(tokenizer(), skip_prompt=True, sinks=f"file:{tmp_path}/a.txt") as streamer,
    ):
        generate(streamer, at=broken)

    (report,) = streamer.fan.report.streams
    assert report.error == "RuntimeError: out of memory"
    assert report.deliveries[0].missing == 0


def test_streamer_that_is_dropped_delivers_everything(tmp_path: Path) -> None:
    streamer = Pieces(tokenizer(), skip_prompt=True, sinks=f"file:{tmp_path}/a.txt", skip_special_tokens=True)
    fan = streamer.fan
    generate(streamer)

    del streamer
    gc.collect()

    wait_until(lambda: fan.report.sinks[0].complete == 1)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == TEXT


def test_a_fan_that_was_given_goes_on() -> None:
    told: list[str] = []
    with Fan(lambda text, end: told.append(text)) as fan:
        for _ in range(2):
            with Pieces(tokenizer(), skip_prompt=True, sinks=fan, skip_special_tokens=True) as streamer:
                generate(streamer, "the fox")

    assert "".join(told) == "the foxthe fox"


def test_sink_that_does_not_exist_is_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match="fiel"):
        TextStreamer(tokenizer(), sinks=["fiel:a.txt"])


def test_streamer_without_sinks_costs_no_thread() -> None:
    Pieces(tokenizer())
    before = threading.active_count()

    streamers = [Pieces(tokenizer()) for _ in range(20)]

    assert threading.active_count() == before
    assert len(streamers) == 20


def test_nothing_heavy_is_imported_for_the_names() -> None:
    program = "import sys, streamfan; before = set(sys.modules); streamfan.TextStreamer; print('torch' in sys.modules)"
    without = (
        "import sys; sys.modules['transformers'] = None; import streamfan; print(streamfan.TextStreamer.__mro__[1])"
    )

    done = [
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True, timeout=PATIENCE)
        for each in (program, without)
    ]

    assert [each.stdout for each in done] == ["False\n", "<class 'object'>\n"]
