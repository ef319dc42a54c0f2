"""Streams that JetStream keeps, for readers that come late, miss something, or come back; exactly once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamfan import End, Permanent, Retryable, Start, Text
from streamfan_nats.found import Found
from streamfan_nats.journal import Journal
from streamfan_nats.subjects import subject_of

if TYPE_CHECKING:
    from streamfan import Chunk, StreamInfo
    from streamfan_nats.journal import Entry
    from streamfan_nats.link import Link
    from streamfan_nats.options import NatsOptions

# How many streams at most are remembered. Of one that comes back after that, what is there is read and compared.
_REMEMBERED = 16_384


@dataclass(slots=True)
class _Known:
    """What is known of one attempt.

    Attributes:
        last: The number of the subject's last message, which is ours; None while that is not known.
        there: How much of the text is there.
        sent: How much was ever sent from here.
        found: What was there when it was opened, where that is more.
        end: The end event, where it is there.
    """

    last: int | None = None
    there: int = 0
    sent: int = 0
    found: Found | None = None
    end: End | None = None


class Kept:
    """All streams of one sink, each on a subject of its own."""

    def __init__(self, link: Link, options: NatsOptions) -> None:
        self._link = link
        self._options = options
        self._streams: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    async def rehearse(self) -> None:
        """See that there is a place for streams."""
        await (await self._journal()).prepare()

    async def open(self, stream: StreamInfo) -> int:
        """Take the stream over from older attempts, and say how much of its text is there."""
        known = self._remember(stream)
        known.last, known.there, known.found, known.end = None, 0, None, None
        journal, subject = await self._journal(), subject_of(self._options.prefix, stream.id)
        last = await journal.last(subject)
        if last is None or last.event.attempt < stream.attempt:
            after = 0 if last is None else last.sequence
            known.last = await journal.append(subject, Start.of(stream), stream.writer, after)
            return 0
        _check_ours(last, stream)
        known.there = _held(last)
        if isinstance(last.event, End):
            known.end = last.event
        if known.there > known.sent:
            known.found = await Found.read(journal, subject, stream, known.there)
        known.last = last.sequence
        # A lane that has not sent it cannot go on behind it.
        return 0 if known.found is not None else known.there

    async def write(self, chunk: Chunk) -> None:
        """Append a chunk, or what of it is not there yet."""
        known = self._remember(chunk.stream)
        known.sent = max(known.sent, chunk.end)
        text: Text | None = Text.of(chunk, token_ids=self._options.token_ids)
        if text is not None and known.found is not None:
            text = known.found.rest_of(text)
        if text is not None:
            await self._append(chunk.stream, known, text)
            known.there = text.end

    async def close(self, stream: StreamInfo, end: End) -> None:
        """Append the end, once."""
        known = self._remember(stream)
        if known.last is None:
            # A stream that was given up is closed without being opened again.
            await self.open(stream)
        if end.complete and known.there < end.offset:
            raise Retryable(f"NATS at {self._link}: holds {known.there} of {end.offset} bytes of stream {stream.id!r}")
        event = end if self._options.token_ids else replace(end, token_ids=())
        if known.end is None:
            await self._append(stream, known, event)
        elif not _same(known.end, event):
            raise Permanent(f"stream {stream.id!r}: attempt {stream.attempt} has ended already, in another way")
        del self._streams[stream.id, stream.attempt]

    async def _append(self, stream: StreamInfo, known: _Known, event: Text | End) -> None:
        if known.end is not None:
            raise Permanent(f"stream {stream.id!r}: attempt {stream.attempt} has ended already")
        after, known.last = known.last, None
        if after is None:
            raise Retryable(f"NATS at {self._link}: what it holds of stream {stream.id!r} is not known")
        journal, subject = await self._journal(), subject_of(self._options.prefix, stream.id)
        known.last = await journal.append(subject, event, stream.writer, after)

    async def _journal(self) -> Journal:
        return Journal(await self._link.reach(), self._options)

    def _remember(self, stream: StreamInfo) -> _Known:
        key = (stream.id, stream.attempt)
        known = self._streams.setdefault(key, _Known())
        self._streams.move_to_end(key)
        if len(self._streams) > _REMEMBERED:
            self._streams.popitem(last=False)
        return known


def _check_ours(last: Entry, stream: StreamInfo) -> None:
    """Refuse to go on where another writer has taken the stream."""
    attempt, writer = last.event.attempt, last.writer
    if (attempt, writer) != (stream.attempt, stream.writer):
        raise Permanent(
            f"stream {stream.id!r}: attempt {attempt} of writer {writer!r} has taken over "
            f"from attempt {stream.attempt} of writer {stream.writer!r}"
        )


def _held(last: Entry) -> int:
    """How much of the text is there, if this is the last message."""
    match last.event:
        case Start():
            return 0
        case Text(end=end):
            return end
        case End(offset=offset):
            return offset


def _same(one: End, other: End) -> bool:
    return (one.offset, one.finish_reason, one.sha256) == (other.offset, other.finish_reason, other.sha256)
