"""A JetStream stream over one connection, as the writers of its subjects see it.

Each message says which one it expects to be the last on its subject, and the server refuses it where that is another
one. So of two messages for the same place only one is ever stored: also of a late one and the one that was sent in its
stead, and of those of two writers. No clock and no memory of the server's is needed for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamfan import End, Event, Permanent, Start, Text, WireError
from streamfan.events import decode, encode
from streamfan_nats.errors import STREAM_NOT_FOUND

if TYPE_CHECKING:
    from nats.js.api import PubAck, RawStreamMsg, StreamConfig

    from streamfan_nats.connection import Connection
    from streamfan_nats.options import NatsOptions

WRITER = "Streamfan-Writer"
"""The header that says whose an event is, which only the start event itself does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a subject.

    Attributes:
        sequence: Its number in the JetStream stream.
        writer: Whose it is; None where that is not said.
    """

    sequence: int
    event: Start | Text | End
    writer: str | None


class Journal:
    """The JetStream stream that the options name; all methods raise a `SinkError` only."""

    def __init__(self, connection: Connection, options: NatsOptions) -> None:
        self._connection = connection
        self._options = options
        self._label = f"JetStream's {options.stream!r}"

    async def prepare(self) -> None:
        """See that the stream is there and keeps what it is given; make it if it is not."""
        from nats.js.errors import NotFoundError

        jetstream, options = self._connection.jetstream, self._options
        try:
            info = await self._connection.answer(jetstream.stream_info(options.stream))
        except NotFoundError:
            await self._make()
            return
        self._check(info.config)
        try:
            # Any name will do.
            name = await self._connection.answer(jetstream.find_stream_name_by_subject(f"{options.prefix}.any"))
        except NotFoundError:
            name = None
        if name != options.stream:
            other = "none does" if name is None else f"{name!r} does"
            raise Permanent(f"JetStream's {options.stream!r} does not take subjects {options.prefix}.*: {other}")

    async def last(self, subject: str) -> Entry | None:
        """The last message of a subject; None if there is none."""
        return await self._get(subject=subject)

    async def following(self, subject: str, sequence: int) -> Entry | None:
        """The first message of a subject whose number is at least `sequence`; None if there is none."""
        return await self._get(subject=subject, seq=sequence, next=True)

    async def append(self, subject: str, event: Start | Text | End, writer: str, after: int) -> int:
        """Store an event right after the subject's message `after`, once; returns its number.

        Args:
            after: 0 where there is none before it.
        """
        from nats.js.api import Header

        headers: dict[str, str] = {
            Header.MSG_ID.value: f"{event.stream}/{event.attempt}/{writer}/{_place(event)}",
            Header.EXPECTED_STREAM.value: self._options.stream,
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(after),
            WRITER: writer,
        }
        data = encode(event)
        acknowledged = await self._publish(subject, data, headers)
        if acknowledged.duplicate and not await self._holds(subject, acknowledged.seq, after):
            # The server remembers the ids of messages that have been deleted since.
            del headers[Header.MSG_ID.value]
            acknowledged = await self._publish(subject, data, headers)
        return acknowledged.seq

    async def _holds(self, subject: str, sequence: int, after: int) -> bool:
        """Whether a message that came after `after` is still there, or at least a later one."""
        last = await self.last(subject) if sequence > after else None
        return last is not None and last.sequence >= sequence

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        return await self._connection.answer(self._connection.jetstream.publish(subject, data, headers=headers))

    async def _get(self, **what: Any) -> Entry | None:
        from nats.js.errors import NotFoundError

        try:
            message = await self._connection.answer(self._connection.jetstream.get_msg(self._options.stream, **what))
        except NotFoundError as error:
            if error.err_code == STREAM_NOT_FOUND:
                # It was there when we connected: somebody has deleted it, or the server has lost its disk.
                await self._make()
            return None
        return self._entry(message)

    async def _make(self) -> None:
        from nats.js.api import StreamConfig

        options = self._options
        config = StreamConfig(
            name=options.stream,
            description="Texts of language models, by streamfan",
            subjects=[f"{options.prefix}.>"],
            max_age=options.max_age,
            duplicate_window=options.duplicate_window,
            num_replicas=options.replicas,
        )
        await self._connection.answer(self._connection.jetstream.add_stream(config))

    def _check(self, config: StreamConfig) -> None:
        """Refuse a stream that somebody has made for something else."""
        from nats.js.api import DiscardPolicy, RetentionPolicy

        if config.retention not in {None, RetentionPolicy.LIMITS, RetentionPolicy.LIMITS.value}:
            raise Permanent(f"{self._label} has retention {config.retention!r}, which deletes what was read once")
        if config.no_ack:
            raise Permanent(f"{self._label} acknowledges nothing (no_ack)")
        drops = config.discard not in {DiscardPolicy.NEW, DiscardPolicy.NEW.value}
        if drops and config.max_msgs_per_subject > 0:
            keeps = f"only the last {config.max_msgs_per_subject:,} messages of a subject (max_msgs_per_subject)"
            raise Permanent(f"{self._label} keeps {keeps}, and a text may be more")

    def _entry(self, message: RawStreamMsg) -> Entry:
        try:
            event: Event = decode(message.data or b"")
        except WireError as error:
            raise Permanent(f"{self._label}: {message.subject!r} holds what is no event: {error}") from None
        if message.seq is None or not isinstance(event, Start | Text | End):
            raise Permanent(f"{self._label}: {message.subject!r} holds a {event.type!r} event")
        return Entry(message.seq, event, (message.headers or {}).get(WRITER))


def _place(event: Start | Text | End) -> str:
    """Where in its attempt an event belongs."""
    match event:
        case Start():
            return "start"
        case Text():
            return f"{event.offset}-{event.end}"
        case End():
            return "end"
