"""Relay streams from Redis to browsers, as server-sent events that survive a lost connection.

    pip install fastapi uvicorn
    REDIS_URL=redis://localhost/0 uvicorn --app-dir examples fastapi_sse:app

The id of each event says how much of the text the browser has. When it comes back, it sends the last one by itself, and
goes on there. In the page:

    const source = new EventSource("/streams/ID");
    source.onmessage = (event) => { output.textContent += JSON.parse(event.data); };
    source.addEventListener("restart", () => { output.textContent = ""; });
    source.addEventListener("gap", (event) => { output.textContent += "[...]"; });
    for (const over of ["end", "failed"]) source.addEventListener(over, () => source.close());
    stop.onclick = () => fetch("/streams/ID", { method: "DELETE" });

The data of `end` has `finish_reason`, and `error` or `cancel` where there is one; `gap` says from and to which byte the
log has lost text. A browser that leaves stops nothing. DELETE does, if the producer was started with
`-o redis.control=true`.

Nobody is asked who they are: anybody who knows the id of a stream may read it, and stop it. Check before `subscribed`
whose it is, as your application knows it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse

from streamfan import asubscribe
from streamfan.errors import (
    CancelRefused,
    HistoryTrimmed,
    Restarted,
    StreamfanError,
    StreamNotFound,
    TextAltered,
    UsageError,
)
from streamfan.events import End, Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streamfan import AsyncSubscription
    from streamfan.events import Event

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
TOKEN = os.environ.get("CONTROL_TOKEN")
# Proxies give up a connection on which nothing comes for a minute.
QUIET = 15.0
# How long the answer waits for the first event, so that a stream that does not exist is a plain 404.
FIRST = 1.0
# Tells the browser to forget what it has, and to come back without an id.
RESTART = "event: restart\nid:\ndata:\n\n"

app = FastAPI()


class Place(NamedTuple):
    """What a browser has: so many bytes of this attempt."""

    attempt: int = 0
    offset: int = 0

    @classmethod
    def parse(cls, id: str) -> Place:
        """The place that an event's id is; the start for anything else."""
        match = re.fullmatch(r"(\d{1,16})-(\d{1,16})", id, re.ASCII)
        return cls(int(match[1]), int(match[2])) if match else cls()

    def __str__(self) -> str:
        return f"{self.attempt}-{self.offset}"


def subscribed(stream: str, **how: Any) -> AsyncSubscription[Any]:
    """The subscription to a stream; what no stream can be called is one that does not exist."""
    try:
        return asubscribe(URL, stream, **how)
    except UsageError as error:
        raise HTTPException(404, str(error)) from None


@app.get("/streams/{stream}")
async def read(stream: str, last_event_id: Annotated[str, Header()] = "") -> StreamingResponse:
    """The text of a stream, from the start or from where the browser is, until its end."""
    place = Place.parse(last_event_id)
    subscription = subscribed(stream, offset=place.offset, attempt=place.attempt, events=True)
    first = asyncio.create_task(anext(subscription))
    await asyncio.wait({first}, timeout=FIRST)
    if first.done() and isinstance(first.exception(), StreamNotFound):
        subscription.close()
        raise HTTPException(404, f"there is no stream {stream!r}")
    return StreamingResponse(
        relay(subscription, first), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


@app.delete("/streams/{stream}", status_code=202)
async def cancel(stream: str) -> None:
    """Ask the producer to stop; all that read the stream are told by its end."""
    async with subscribed(stream, token=TOKEN) as subscription:
        try:
            await subscription.cancel("stopped in the browser", by="browser")
        except StreamNotFound as error:
            raise HTTPException(404, str(error)) from None
        except CancelRefused as error:
            raise HTTPException(409, str(error)) from None


async def relay(subscription: AsyncSubscription[Event], first: asyncio.Task[Event]) -> AsyncIterator[str]:
    """Each event as the browser gets it, and a sign of life where there is none for long."""
    coming = first
    async with subscription:
        try:
            while True:
                if not (await asyncio.wait({coming}, timeout=QUIET))[0]:
                    yield ": still here\n\n"
                    continue
                try:
                    yield shown(coming.result())
                except HistoryTrimmed as lost:
                    # What the log still has comes next.
                    yield sse("gap", [lost.offset, lost.end])
                coming = asyncio.ensure_future(anext(subscription))
        except StopAsyncIteration:
            return
        except (Restarted, TextAltered):
            yield RESTART
        except StreamfanError as error:
            yield sse("failed", str(error))
        finally:
            # The browser may have left while this waited.
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, StreamfanError):
                await coming


def shown(event: Event) -> str:
    """An event as the browser gets it."""
    match event:
        case Text():
            return sse("message", event.text, Place(event.attempt, event.end))
        case End():
            told = {"finish_reason": event.finish_reason, "error": event.error, "cancel": event.cancel}
            return sse("end", told, Place(event.attempt, event.offset))
    return ""


def sse(kind: str, data: object, place: Place | None = None) -> str:
    """A server-sent event; its data is JSON, for a text may have any characters."""
    id = f"id: {place}\n" if place else ""
    return f"event: {kind}\n{id}data: {json.dumps(data, ensure_ascii=False, default=asdict)}\n\n"
