"""What sinks cost a generation: five of them, two of which are ill, beside a streamer that does nothing.

The sinks are a file, a Redis and a webhook (the servers are processes of their own), one that hangs and one that
raises. The model is the bundled one: as fast as it is; made to compute for 3 ms a step; and held back to 20 ms a step,
as a large model on an accelerator is. Runs with and without sinks alternate; the figures are medians of their ratios.

    python benchmarks/generate.py [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

# This folder is the first on the path, and a file in it is called as the client library of Redis is.
sys.path.remove(sys.path[0])

import redis
import torch
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, TextStreamer

from streamfan import Fan, LaneOptions, Sink
from streamfan.demo import PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import Chunk

TOKENS = 200
STEP = 0.003
SLOW_STEP = 0.020


Load = Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None


class Idle:
    """A streamer whose methods are empty."""

    def put(self, value: torch.Tensor) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Hung(Sink):
    """A sink whose first call never returns."""

    name = "hung"
    let_go: ClassVar[threading.Event] = threading.Event()

    def write(self, chunk: Chunk) -> None:
        """Wait for ever."""
        self.let_go.wait()


class Raising(Sink):
    """A sink that fails with each stream."""

    name = "raising"

    def write(self, chunk: Chunk) -> None:
        """Fail."""
        raise RuntimeError("as always")


class Pace:
    """Holds a model back, as a logits processor: the next token comes no sooner than `step` seconds after the last."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._due = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Wait; the scores stay as they are."""
        now = time.perf_counter()
        time.sleep(max(0.0, self._due - now))
        self._due = max(now, self._due) + self._step
        return scores


class Work:
    """Makes a model larger, as a logits processor: so many operations more in each step, whatever time they take."""

    def __init__(self, operations: int) -> None:
        self._operations = operations
        self._matrix = torch.eye(64)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Compute; the scores stay as they are."""
        for _ in range(self._operations):
            torch.mm(self._matrix, self._matrix)
        return scores

    @classmethod
    def lasting(cls, seconds: float) -> Work:
        """As many operations as take so long on this machine."""
        work = cls(1000)
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            work(work._matrix, work._matrix)
            times.append(time.perf_counter() - begun)
        return cls(max(0, round(1000 * seconds / statistics.median(times))))


class Receiver(BaseHTTPRequestHandler):
    """Takes every webhook."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it all, and say so."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Bench:
    """A model, and places to send what it says."""

    def __init__(self, redis_url: str, hook: str, folder: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(PATH)
        self._model: Any = AutoModelForCausalLM.from_pretrained(PATH)
        self._inputs = self._tokenizer("Once upon a time", return_tensors="pt")
        self._specs = (f"file:{folder}/{{stream}}.txt", redis_url, hook)

    def bare(self, load: Load) -> float:
        """Seconds without sinks."""
        return self._generate(Idle(), load)

    def step(self, load: Load) -> float:
        """Seconds that a step takes."""
        return statistics.median(self.bare(load) for _ in range(3)) / TOKENS

    def text_streamer(self, load: Load) -> float:
        """Seconds with transformers' own streamer, which writes to the null device."""
        with open("/dev/null", "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - a device
            return self._generate(TextStreamer(self._tokenizer, skip_prompt=True), load)

    def five_sinks(self, load: Load) -> float:
        """Seconds with sinks, until the model is done; what is still to be delivered then is not its concern."""
        fan = Fan(*self._specs, close_timeout=5.0)
        fan.add(Hung(), lane=LaneOptions(call_timeout=1.0))
        fan.add(Raising())
        Hung.let_go.clear()
        fan.reach()
        try:
            with fan.streamer(self._tokenizer, model=self._model, skip_prompt=True) as streamer:
                took = self._generate(streamer, load)
        finally:
            Hung.let_go.set()
            fan.close()
        whole = [sink.id for sink in fan.report.sinks if sink.complete == 1]
        assert set(whole) >= {"file", "redis", "webhook"}, fan.report
        return took

    def _generate(self, streamer: Any, load: Load) -> float:
        processors = LogitsProcessorList([] if load is None else [load])
        begun = time.perf_counter()
        self._model.generate(
            **self._inputs,
            min_new_tokens=TOKENS,
            max_new_tokens=TOKENS,
            do_sample=False,
            streamer=streamer,
            logits_processor=processors,
        )
        return time.perf_counter() - begun


def compare(bench: Bench, name: str, load: Load, bar: float | None, pairs: int) -> None:
    """Print how much longer a generation takes."""
    bench.five_sinks(load)
    rows: dict[str, list[float]] = {"TextStreamer": [], "streamfan, 5 sinks": []}
    lengths = []
    for _ in range(pairs):
        before = bench.bare(load)
        ours = bench.five_sinks(load)
        theirs = bench.text_streamer(load)
        # What the machine does meanwhile changes slowly: compared is the mean of the runs on both sides.
        reference = (before + bench.bare(load)) / 2
        rows["TextStreamer"].append(theirs / reference)
        rows["streamfan, 5 sinks"].append(ours / reference)
        lengths.append(reference / TOKENS)
    step = statistics.median(lengths) * 1e3
    print(f"\n{name}, {step:.1f} ms a step: against a streamer that does nothing ({pairs} times)")
    for row, ratios in rows.items():
        wanted = f"   (bar: x{bar})" if bar and row.startswith("streamfan") else ""
        print(f"{row:22}   x{statistics.median(ratios):.3f}{wanted}", flush=True)


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """The URL of a receiver in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--receive"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        finally:
            process.terminate()


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a Redis that nobody else uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        url = f"redis://127.0.0.1:{port}/0"
        try:
            redis.Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500)).ping()
            yield url
        finally:
            process.terminate()


def receive() -> None:
    """Be the receiver."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as http:
        print(http.server_port, flush=True)
        http.serve_forever()


def main() -> None:
    """Measure, and print a table for each pace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three pairs of runs instead of fifteen")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        receive()
        return
    # The sinks that are ill say so each time.
    logging.disable()
    with server() as redis_url, receiver() as hook, tempfile.TemporaryDirectory() as folder:
        bench = Bench(redis_url, hook, folder)
        pairs = 3 if arguments.quick else 15
        bench.bare(None)
        compare(bench, "held back", Pace(SLOW_STEP), 1.01, pairs)
        compare(bench, "made larger", Work.lasting(STEP - bench.step(None)), 1.05, pairs)
        compare(bench, "as it is", None, None, pairs)


if __name__ == "__main__":
    main()
