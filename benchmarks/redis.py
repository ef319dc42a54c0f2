"""From a fan through Redis into a subscriber's hands, beside what redis-py alone does, in one run on one machine.

Compare the figures with each other, not with those of another machine. It starts a redis-server of its own on a free
port, and stops it. Whoever reads is a process of its own, as it would be.

    python benchmarks/redis.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

# This folder is the first on the path, and this file is called as the client library is.
sys.path.remove(sys.path[0])
# The client library as `pip install redis` gives it; where hiredis is installed too, it would read with that.
PLAIN = "--plain"
if PLAIN in sys.argv:
    sys.modules["hiredis"] = None  # type: ignore[assignment]  # what importing it then raises is an ImportError

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from streamfan import Fan
from streamfan.attempts import next_attempt
from streamfan.events import Chunk, StreamInfo, now
from streamfan.options import LaneOptions
from streamfan.sinks.redis import RedisSink
from streamfan.subscriber import asubscribe, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# About as fast as a model speaks.
PAUSE = 0.005
TURN = 100
DONE = "done"
WORD = "word "
CHUNKS_OF_EACH = 50


# Readers, each in a process of its own: they say "ready", and what they have measured, in JSON


def hear_bare(url: str) -> list[float]:
    """Microseconds from the stamp in each message of a channel until redis-py has given it."""
    took: list[float] = []
    client: Any = redis.Redis.from_url(url, decode_responses=True)
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("bare")
        pubsub.get_message(timeout=5)
        say("ready")
        while True:
            message = pubsub.get_message(timeout=None)
            if message is None:
                continue
            if message["data"] == DONE:
                return took
            took.append((time.monotonic_ns() - int(message["data"])) / 1e3)


def hear_streamfan(url: str) -> list[float]:
    """Microseconds from the stamp in each text of a stream until `subscribe` has given it."""
    took: list[float] = []
    for text in subscribe(url, "latency", wait=10):
        arrived = time.monotonic_ns()
        if text == "first":
            say("ready")
        else:
            took += [(arrived - int(stamp)) / 1e3 for stamp in text.split()]
    return took


def follow_all(url: str, count: int) -> dict[str, float]:
    """What it takes to read so many streams at once."""

    async def follow(number: int) -> int:
        return sum([len(text) async for text in asubscribe(url, f"s{number}", wait=60)])

    async def follow_each() -> list[int]:
        say("ready")
        return await asyncio.gather(*(follow(number) for number in range(count)))

    lengths = asyncio.run(follow_each())
    whole = sum(length == len(WORD) * CHUNKS_OF_EACH for length in lengths)
    return {"whole": whole, "peak": peak_memory()}


READERS: dict[str, Callable[..., Any]] = {"bare": hear_bare, "streamfan": hear_streamfan, "all": follow_all}


# What is measured


def latency(url: str, count: int) -> None:
    """Time until a chunk is in a reader's hands; both kinds take turns of half a second, as one stream flows."""
    with reader("bare", url) as bare, reader("streamfan", url) as ours, Fan() as fan:
        fan.add(RedisSink(url), lane=LaneOptions(linger=0.0))
        client = redis.Redis.from_url(url)
        with fan.open("latency") as stream:
            stream.write("first")
            bare.ready()
            ours.ready()
            for _ in range(count // TURN):
                for _ in range(TURN):
                    time.sleep(PAUSE)
                    client.publish("bare", str(time.monotonic_ns()))
                for _ in range(TURN):
                    time.sleep(PAUSE)
                    stream.write(f"{time.monotonic_ns()} ")
        client.publish("bare", DONE)
        took = {"redis-py PUBLISH -> get_message": bare.result(), "streamfan -> subscribe()": ours.result()}
    parser = "its own parser" if find_spec("hiredis") is None else "hiredis"
    print(f"\nus until a chunk is in a reader's hands ({count} chunks, linger 0; redis-py with {parser})")
    print(f"{'':34}{'p50':>8}{'p99':>8}")
    reference = None
    for name, times in took.items():
        bar = "" if reference is None or PLAIN not in sys.argv else "   (bar: x1.5)"
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        reference = reference or p50
        print(f"{name:34}{p50:>8.0f}{p99:>8.0f}   x{p50 / reference:.2f}{bar}")


def throughput(url: str, count: int) -> None:
    """Chunks per second that one thread brings into the log and onto the channel."""
    client, sink = redis.Redis.from_url(url), RedisSink(url)
    stream = StreamInfo(id="throughput", attempt=next_attempt(), writer="benchmark", time=now())
    sink.connect()
    sink.open(stream)
    size = len(WORD)

    def bare(number: int) -> None:
        text = json.dumps({"offset": number * size, "end": (number + 1) * size, "text": WORD})
        client.xadd("bare:log", {"event": text}, id=f"1-{number + 1}", maxlen=100_000, approximate=True)
        client.publish("bare", text)

    def ours(number: int) -> None:
        sink.write(Chunk(stream, number * size, WORD.encode()))

    print(f"\nchunks per second, one after the other ({count} chunks)")
    reference = None
    for name, call in (("redis-py XADD, PUBLISH", bare), ("the sink's write()", ours)):
        begun = time.perf_counter()
        for number in range(count):
            call(number)
        rate = count / (time.perf_counter() - begun)
        reference = reference or rate
        print(f"{name:34}{rate:>8.0f}   x{rate / reference:.2f}")
    sink.disconnect()


def many(url: str, count: int) -> bool:
    """Many streams at once through one sink, read by one process; whether nothing of them was lost."""
    with reader("all", url, str(count)) as everybody:
        everybody.ready()
        begun = time.perf_counter()
        with Fan(RedisSink(url)) as fan:
            streams = [fan.open(f"s{number}") for number in range(count)]
            for _ in range(CHUNKS_OF_EACH):
                for stream in random.sample(streams, count):
                    stream.write(WORD)
            for stream in streams:
                stream.end()
        written = time.perf_counter() - begun
        result = everybody.result()
        took = time.perf_counter() - begun
    report = fan.report.sinks[0]
    print(f"\n{count} streams of {CHUNKS_OF_EACH} chunks at once, one sink, one subscriber process")
    print(f"{'complete at the sink':34}{report.complete:>8}")
    print(f"{'whole at the subscribers':34}{result['whole']:>8.0f}")
    print(f"{'seconds until all were stored':34}{written:>8.1f}")
    print(f"{'seconds until all were read':34}{took:>8.1f}")
    print(f"{'peak memory of the publisher, MiB':34}{peak_memory():>8.0f}")
    print(f"{'peak memory of the reader, MiB':34}{result['peak']:>8.0f}")
    return bool(report.complete == result["whole"] == count)


# Processes


class Reader:
    """A reader in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout

    def ready(self) -> None:
        """Wait until it reads."""
        assert self._lines.readline() == "ready\n"

    def result(self) -> Any:
        """What it has measured."""
        return json.loads(self._lines.readline())


@contextmanager
def reader(kind: str, *arguments: str) -> Iterator[Reader]:
    """A process that reads."""
    plain = [PLAIN] if PLAIN in sys.argv else []
    command = [sys.executable, __file__, *plain, "--reader", kind, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield Reader(process)


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that nobody else uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        redis.Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500)).ping()
        yield url
    finally:
        process.terminate()
        process.wait()


def say(line: str) -> None:
    """Tell whoever has started this process."""
    print(line, flush=True)


def peak_memory() -> float:
    """The most that this process has held, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    """Measure, and print four tables; fails if a stream was not whole at both ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument(PLAIN, action="store_true", help="only the first table, without hiredis")
    parser.add_argument("--reader", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader:
        kind, url, *rest = arguments.reader
        say(json.dumps(READERS[kind](url, *(int(argument) for argument in rest))))
        return
    share = 10 if arguments.quick else 1
    if not arguments.plain:
        subprocess.run([sys.executable, __file__, PLAIN, *(["--quick"] if arguments.quick else [])], check=True)
    with server() as url:
        latency(url, 2000 // share)
        if arguments.plain:
            return
        throughput(url, 20_000 // share)
        if not many(url, 1000 // share):
            sys.exit("not all streams are complete and whole")


if __name__ == "__main__":
    main()
