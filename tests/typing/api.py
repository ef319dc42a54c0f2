"""The public API as its users write it: type-checked, never run.

What stops to type-check here breaks somebody's program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from prometheus_client import REGISTRY

from streamfan import (
    AsyncSink,
    AsyncSubscription,
    AsyncTextIteratorStreamer,
    Callback,
    CancelRefused,
    Chunk,
    Delivery,
    End,
    Event,
    Fan,
    Gap,
    HistoryTrimmed,
    LaneOptions,
    Permanent,
    ProducerLost,
    Report,
    Restarted,
    Retryable,
    ServerError,
    Sink,
    SinkOptions,
    Spill,
    Start,
    Stream,
    StreamFailed,
    StreamInfo,
    StreamNotFound,
    StreamReport,
    Subscription,
    Text,
    TextIteratorStreamer,
    TextStreamer,
    asubscribe,
    hookimpl,
    subscribe,
)
from streamfan.metrics import FanCollector, MetricsFile
from streamfan.sinks.redis import RedisOptions
from streamfan.sinks.webhook import WebhookOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class ShoutOptions(SinkOptions):
    """Options of a third party's sink."""

    volume: int = 11


class Shout(Sink):
    """A third party's sink, with everything that one may have."""

    name = "shout"
    aliases = ("loud",)
    Options = ShoutOptions
    delivery = Delivery.EXACTLY_ONCE
    heartbeat = 5.0
    lane_defaults = LaneOptions(linger=0.1, max_bytes=1024)

    def connect(self) -> None:
        raise Retryable("busy", after=1.5)

    def open(self, stream: StreamInfo) -> int | None:
        return 0

    def write(self, chunk: Chunk) -> None:
        if chunk.text == "stop":
            chunk.stream.cancel("heard the word", by=self.name)
        raise Permanent(f"{chunk.offset} {chunk.end} {chunk.token_ids}")

    def beat(self, stream: StreamInfo) -> None:
        print(stream.id, stream.attempt)

    def close(self, stream: StreamInfo, end: End) -> None:
        print(end.complete, end.finish_reason)


class Quiet(AsyncSink):
    """A third party's sink over asyncio."""

    name = "quiet"
    accepts_gaps = True

    async def awrite(self, chunk: Chunk) -> None:
        print(chunk.data)

    async def agap(self, gap: Gap) -> None:
        print(gap.offset, gap.end)


@hookimpl
def streamfan_sinks() -> Iterable[type[Sink]]:
    return [Shout, Quiet]


@hookimpl
def streamfan_finished(stream: Stream, report: StreamReport) -> None:
    print(stream.text, report.sha256)


def options_of_ours() -> tuple[RedisOptions, WebhookOptions]:
    # Every other option has a default.
    return RedisOptions(prefix="ours", control=True), WebhookOptions(public_only=True)


def on_text(text: str, end: bool) -> None:
    print(text, end)


def on_event(event: Event) -> None:
    if isinstance(event, End):
        print(event.sha256)


def by_hand() -> Report:
    with Fan("stdout", Shout("target", ShoutOptions(volume=3)), on_text, close_timeout=5) as fan:
        fan.add(Callback(on_event, events=True), id="events", lane=LaneOptions(required=False, boundary="line"))
        with fan.open("my-id", model="m", meta={"user": "ann"}) as stream:
            stream.write("text", [1, 2])
            stream.on_cancel(lambda: None)
            for text in stream.follow(4):
                assert_type(text, str)
    assert_type(fan.report, Report)
    fan.report.raise_for_failures()
    return fan.report


async def in_asyncio() -> None:
    async with Fan() as fan:
        with fan.open() as stream:
            async for text in stream:
                assert_type(text, str)


def with_transformers(model: Any, tokenizer: Any, inputs: Any) -> None:
    with Fan() as fan:
        with fan.streamer(tokenizer, model=model, skip_prompt=True, skip_special_tokens=True, stop="\n") as streamer:
            model.generate(**inputs, streamer=streamer, stopping_criteria=[streamer.stopping_criteria])
        assert_type(streamer.streams, tuple[Stream, ...])
        generation = fan.start(model, tokenizer, inputs, max_new_tokens=5)
        generation.cancel("enough", by="me")
        assert_type(generation.streams, tuple[Stream, ...])
        generation.result(timeout=3)


class Upper(TextStreamer):
    """A subclass, as programs have them."""

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        super().on_finalized_text(text.upper(), stream_end)


async def dropped_in(model: Any, tokenizer: Any, inputs: Any) -> None:
    with Upper(tokenizer, skip_prompt=True, sinks=["file:a.txt", on_text], skip_special_tokens=True) as streamer:
        model.generate(**inputs, streamer=streamer, stopping_criteria=[streamer.stopping_criteria])
    for text in TextIteratorStreamer(tokenizer, True, 3.0, sinks=streamer.fan):
        print(text)
    async for text in AsyncTextIteratorStreamer(tokenizer, timeout=3.0):
        print(text)


def elsewhere(url: str) -> None:
    subscription = subscribe(url, "my-id", offset=5, attempt=7, wait=3, prefix="mine", token="t")
    assert_type(subscription, Subscription[str])
    try:
        for text in subscription:
            assert_type(text, str)
    except (HistoryTrimmed, Restarted) as error:
        print(error.stream)
    except ProducerLost as error:
        print(error.offset, error.lease)
    except StreamFailed as error:
        print(error.kind, error.message)
    except (StreamNotFound, ServerError):
        raise
    assert_type(subscription.info, Start | None)
    assert_type(subscription.outcome, End | None)
    print(subscription.stream, subscription.attempt, subscription.offset)


def events_elsewhere(url: str) -> None:
    with subscribe(url, events=True) as subscription:
        assert_type(subscription, Subscription[Event])
        for event in subscription:
            if isinstance(event, Text):
                print(event.text)
        try:
            subscription.cancel("enough", by="me")
        except CancelRefused:
            subscription.close()


async def elsewhere_in_asyncio(url: str) -> None:
    async with asubscribe(url, "my-id") as subscription:
        assert_type(subscription, AsyncSubscription[str])
        async for text in subscription:
            assert_type(text, str)
        await subscription.cancel("enough")
    async for event in asubscribe(url, events=True):
        assert_type(event, Event)


def watched(fan: Fan) -> None:
    REGISTRY.register(FanCollector(fan))
    with MetricsFile("streamfan.prom", every=1.0).following(fan):
        assert_type(fan.report.sinks[0].metrics.sent.bytes, int)
    assert_type(fan.report.streams[0].tpot, float | None)
    intervals = fan.report.streams[0].intervals
    assert intervals is not None
    assert_type((intervals.rate, intervals.p99, intervals.count), tuple[float, float, int])
    assert_type(fan.report.metrics.tokens, int)


def kept(fan: Fan) -> None:
    spill = Spill("kept")
    fan.observe(spill, patience=20.0)
    assert_type(spill.kept["my-id", 1], Path)
