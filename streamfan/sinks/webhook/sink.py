"""The sink that posts each event of a stream to a URL, signed as Standard Webhooks says when a secret is given.

A request that is repeated has the same id and the same bytes, whatever became of the first, so a receiver that
remembers ids, or reads by offset, takes every piece of text once. One that answers how much it holds decides where
the text goes on.

Source: the Standard Webhooks specification, version 1.0.0, https://www.standardwebhooks.com
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl

from pydantic_core import to_json

from streamfan import __version__
from streamfan.errors import MissingExtra, Permanent
from streamfan.events import Start, Text, encode, now
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.webhook.answers import Gone, Moved, judge
from streamfan.sinks.webhook.messages import Message, Streams, message_id
from streamfan.sinks.webhook.options import WebhookOptions
from streamfan.sinks.webhook.urls import parse, refused, shown

if TYPE_CHECKING:
    from streamfan.events import Chunk, End, StreamInfo
    from streamfan.sinks.webhook.endpoint import Endpoint
    from streamfan.sinks.webhook.signing import Signer

_ENVELOPE = 256
"""More than the longest text event takes beside its text and token ids."""


class WebhookSink(Sink):
    """Posts the start event when a stream is opened, a text event per chunk, and the end event when it is closed."""

    name: ClassVar[str] = "webhook"
    aliases: ClassVar[tuple[str, ...]] = ("http", "https")
    example: ClassVar[str] = "https://example.com/hook"
    Options: ClassVar[type[SinkOptions]] = WebhookOptions
    delivery = Delivery.AT_LEAST_ONCE
    lane_defaults = LaneOptions(linger=0.1, max_bytes=16 * 1024)
    options: WebhookOptions

    def __init__(self, target: str | None = None, options: WebhookOptions | None = None) -> None:
        super().__init__(target, options)
        self._url = parse(target)
        if self._url.scheme == "http" and (self.options.ca_file or self.options.client_cert):
            raise refused("begins with http://, where no certificate is shown or asked for: ca_file, client_cert")
        self._endpoint: Endpoint | None = None
        self._signer: Signer | None = None
        self._gone: str | None = None
        self._streams = Streams()

    @property
    def label(self) -> str:
        """The URL as people may see it: without its query."""
        return shown(self._url)

    def connect(self) -> None:
        if self._endpoint is None:
            self._signer = self._make_signer()
            self._endpoint = self._make_endpoint()
        self._endpoint.probe()

    def open(self, stream: StreamInfo) -> int | None:
        key = (stream.id, stream.attempt)
        if not self._streams.begun(key):
            start = Start.of(stream)
            try:
                self._post(Message(message_id(start), encode(start)))
            except Moved as moved:
                self._move(start, moved)
            else:
                self._streams.begin(key)
        return self._streams.held(key)

    def write(self, chunk: Chunk) -> None:
        self._deliver(Text.of(chunk, token_ids=self.options.token_ids))

    def close(self, stream: StreamInfo, end: End) -> None:
        try:
            self._deliver(end if self.options.token_ids else replace(end, token_ids=()))
        except Moved as moved:
            if end.complete:
                raise
            raise Permanent(f"{moved}, and what it lacks has been given up") from None
        self._streams.forget((stream.id, stream.attempt))

    def disconnect(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()

    def size(self, text: str) -> int:
        """At least the bytes of the request's body; token ids, which are off by default, come on top."""
        return _ENVELOPE + len(to_json(text))

    def _deliver(self, event: Text | End) -> None:
        key = (event.stream, event.attempt)
        try:
            self._post(self._streams.message(event))
        except Moved as moved:
            self._move(event, moved)
            raise
        self._streams.taken(key)

    def _move(self, event: Start | Text | End, moved: Moved) -> None:
        """Take note of what the receiver says it holds; where that cannot be, say so in words that its author knows."""
        key = (event.stream, event.attempt)
        sent = self._streams.sent(key)
        if moved.held > sent:
            raise Permanent(f"{moved}, but no more than {sent:,} bytes of this attempt were ever sent") from None
        if isinstance(event, Text) and _inside_character(event.text.encode(), moved.held - event.offset):
            raise Permanent(f"{moved}, which is inside a character") from None
        self._streams.moved(key, moved.held)

    def _post(self, message: Message) -> None:
        assert self._endpoint is not None, "a lane connects before it opens"
        if self._gone is not None:
            raise Permanent(self._gone)
        answer = self._endpoint.post(message.body, self._headers(message))
        try:
            judge(answer.without(self._secrets), self.label)
        except Gone as error:
            self._gone = str(error)
            raise

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What is sent that nobody else is to see, for a receiver may repeat it in what it answers."""
        query = self._url.query
        token = self.options.bearer_token
        values = (value for _, value in parse_qsl(query))
        return (query, *values, *([token.get_secret_value()] if token else []), *self.options.own_headers.values())

    def _headers(self, message: Message) -> dict[str, str]:
        # The time of this try, not of the event: receivers refuse what was signed more than five minutes ago.
        at = now()
        headers = {
            **self.options.own_headers,
            "content-type": "application/json",
            "user-agent": f"streamfan/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message, at)
        return headers

    def _make_endpoint(self) -> Endpoint:
        try:
            from streamfan.sinks.webhook.endpoint import Endpoint
        except ModuleNotFoundError as error:
            raise MissingExtra("sink 'webhook'", "httpx2", "webhook") from error
        return Endpoint(self._url.geturl(), shown=self.label, options=self.options)

    def _make_signer(self) -> Signer | None:
        if not self.options.secrets:
            return None
        try:
            from streamfan.sinks.webhook.signing import Signer
        except ModuleNotFoundError as error:
            raise MissingExtra("sink 'webhook' with a secret", "standardwebhooks", "webhook") from error
        return Signer(self.options.secrets)


def _inside_character(data: bytes, position: int) -> bool:
    """Whether one of the bytes of a character that began before `position` is there."""
    return 0 < position < len(data) and data[position] & 0xC0 == 0x80


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """This module's sink."""
    return [WebhookSink]
