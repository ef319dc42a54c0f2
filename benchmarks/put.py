"""What one `put` costs the model's thread: TextStreamer, a bare DecodeStream and streamfan, side by side.

All figures are mean microseconds per token, measured in one run on one machine: compare them with each other, not with
those of another machine. Output of every kind goes to the null device, so that only the streamers differ.

    python benchmarks/put.py [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import AutoTokenizer, TextStreamer

from streamfan import Callback, Fan, Sink
from streamfan.demo import PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan import Chunk


LENGTHS = (256, 1024, 4096)
LANES = (1, 10, 100)
# Loops that stand for a model: as fast as possible, and one step per millisecond.
PACES = {"tight loop": 0.0, "1 token/ms": 0.001}


class Nowhere(Sink):
    """A sink that takes everything, at the general pace of lanes."""

    name = "nowhere"

    def write(self, chunk: Chunk) -> None:
        """Take it."""


@contextlib.contextmanager
def text_streamer(tokenizer: Any) -> Iterator[Callable[[torch.Tensor], object]]:
    """TextStreamer, as a guide would use it."""
    streamer = TextStreamer(tokenizer, skip_prompt=True)
    put: Callable[[torch.Tensor], object] = streamer.put
    put(torch.tensor([[1]]))
    yield put


@contextlib.contextmanager
def decode_stream(tokenizer: Any) -> Iterator[Callable[[torch.Tensor], object]]:
    """The tokenizers library's own incremental decoder, and nobody who reads."""
    stream, backend = DecodeStream(skip_special_tokens=False), tokenizer._tokenizer
    yield lambda value: stream.step(backend, value.tolist()[0])


@contextlib.contextmanager
def five_sinks(tokenizer: Any) -> Iterator[Callable[[torch.Tensor], object]]:
    """Streamfan with stdout, two files and two callbacks."""
    with tempfile.TemporaryDirectory() as folder:
        fan = Fan("stdout", f"text=file:{folder}/a.txt", f"events=file:{folder}/b.txt", lambda text, end: None)
        fan.add(Callback(lambda event: None, events=True), id="observer")
        with fan, fan.streamer(tokenizer, skip_prompt=True) as streamer:
            streamer.put(torch.tensor([[1]]))
            yield streamer.put
            streamer.end()


@contextlib.contextmanager
def lanes(tokenizer: Any, count: int) -> Iterator[Callable[[torch.Tensor], object]]:
    """Streamfan with any number of lanes."""
    fan = Fan()
    for number in range(count):
        fan.add(Nowhere(), id=f"s{number}")
    with fan, fan.streamer(tokenizer, skip_prompt=True) as streamer:
        streamer.put(torch.tensor([[1]]))
        yield streamer.put
        streamer.end()


def cost(put: Callable[[torch.Tensor], object], ids: list[torch.Tensor], pause: float) -> float:
    """Mean microseconds that one call takes."""
    clock = time.perf_counter
    if not pause:
        begun = clock()
        for value in ids:
            put(value)
        return (clock() - begun) / len(ids) * 1e6
    spent = 0.0
    for value in ids:
        time.sleep(pause)
        begun = clock()
        put(value)
        spent += clock() - begun
    return spent / len(ids) * 1e6


def measure(make: Callable[[], Any], ids: list[torch.Tensor], pause: float, repeat: int) -> float:
    """The median of several runs."""
    costs = []
    for _ in range(repeat):
        with make() as put:
            costs.append(cost(put, ids, pause))
    return statistics.median(costs)


def one_line(tokenizer: Any, length: int) -> list[torch.Tensor]:
    """`length` tokens of ordinary text without a line's end."""
    words = tokenizer("Once upon a time there lived a fox in the café by the sea, and she was happy. ").input_ids
    return [torch.tensor([id]) for id in (words * (length // len(words) + 1))[:length]]


def main() -> None:
    """Measure, and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of each instead of five")
    repeat = 1 if parser.parse_args().quick else 5
    tokenizer = AutoTokenizer.from_pretrained(PATH)
    # Both streamers print; the tables go to the real stdout.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the program
    contenders: dict[str, Callable[[Any], Any]] = {
        "TextStreamer": text_streamer,
        "DecodeStream alone": decode_stream,
        "streamfan, 5 sinks": five_sinks,
    }
    for pace, pause in PACES.items():
        print(f"\n{pace}: us per put, by tokens on one line", file=out)
        print(f"{'':22}" + "".join(f"{length:>10}" for length in LENGTHS), file=out)
        for name, contender in contenders.items():
            row = [
                measure(partial(contender, tokenizer), one_line(tokenizer, length), pause, repeat) for length in LENGTHS
            ]
            print(f"{name:22}" + "".join(f"{figure:>10.1f}" for figure in row), file=out, flush=True)
    print(f"\nus per put, by number of lanes (1024 tokens)\n{'':22}" + "".join(f"{n:>10}" for n in LANES), file=out)
    for pace, pause in PACES.items():
        ids = one_line(tokenizer, 1024)
        row = [measure(partial(lanes, tokenizer, count), ids, pause, repeat) for count in LANES]
        print(
            f"{pace:22}" + "".join(f"{figure:>10.1f}" for figure in row) + f"   x{max(row) / min(row):.1f}",
            file=out,
            flush=True,
        )


if __name__ == "__main__":
    main()
