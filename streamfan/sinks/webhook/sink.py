"""The sink that posts each event of a stream to a URL, signed as Standard Webhooks says when a secret is given.

A request that is repeated has the same id and the same bytes, whatever became of the first, so a receiver that
remembers ids, or reads by offset, takes every piece of text once.

Source: the Standard Webhooks specification, version 1.0.0, https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_core import to_json

from streamfan import __version__
from streamfan.errors import MissingExtra, Permanent
from streamfan.events import Start, Text, encode, now
from streamfan.hookspecs import hookimpl
from streamfan.options import LaneOptions, Seconds, Secret
from streamfan.sink import Delivery, Sink, SinkOptions
from streamfan.sinks.webhook.answers import Gone, judge
from streamfan.sinks.webhook.urls import parse, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from standardwebhooks import Webhook

    from streamfan.events import Chunk, End, Event, StreamInfo
    from streamfan.sinks.webhook.endpoint import Endpoint

_ENVELOPE = 256
"""More than the longest text event takes beside its text and token ids."""

_REMEMBERED = 4096
"""How many streams at most are remembered. A lane that gives a stream up does not say so, and the one that was quiet
longest is forgotten; if it does come back, its start event is sent again under the same id."""


class WebhookOptions(SinkOptions):
    """The options of the webhook sink."""

    secret: Secret | None = Field(
        None, description="Sign every request with this key: whsec_ and the base64 of 24 to 64 random bytes."
    )
    timeout: Annotated[Seconds, Field(gt=0)] = Field(
        10.0, description="How long one request may take, from connecting to the end of the answer."
    )
    token_ids: bool = Field(False, description="Send the token ids too.")

    @field_validator("secret")
    @classmethod
    def _be_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_key(secret.get_secret_value()):
            raise ValueError("not a signing secret, expected whsec_ and the base64 of 24 to 64 random bytes")
        return secret


def _is_key(secret: str) -> bool:
    # Stricter than the library that signs: it skips over what is no base64, and would sign with what is left.
    prefix, _, key = secret.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(key + "=" * (-len(key) % 4), validate=True)) <= 64
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Message:
    """What is sent, and sent again; the id tells a receiver that it is the same."""

    id: str
    body: bytes


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
        self._endpoint: Endpoint | None = None
        self._signer: Webhook | None = None
        self._gone: str | None = None
        # The streams whose start event has been taken, each with the message whose fate is unknown, if there is one.
        self._streams: OrderedDict[tuple[str, int], _Message | None] = OrderedDict()

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
        if key not in self._streams:
            self._post(_Message(_id(key, "start"), encode(Start.of(stream))))
            self._remember(key, None)
        return None

    def write(self, chunk: Chunk) -> None:
        key = (chunk.stream.id, chunk.stream.attempt)
        self._deliver(key, chunk.end, lambda: Text.of(chunk, token_ids=self.options.token_ids))

    def close(self, stream: StreamInfo, end: End) -> None:
        key = (stream.id, stream.attempt)
        self._deliver(key, "end", lambda: end if self.options.token_ids else replace(end, token_ids=()))
        self._streams.pop(key, None)

    def disconnect(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()

    def size(self, text: str) -> int:
        """At least the bytes of the request's body; token ids, which are off by default, come on top."""
        return _ENVELOPE + len(to_json(text))

    def _deliver(self, key: tuple[str, int], position: int | str, event: Callable[[], Event]) -> None:
        message = self._streams.get(key)
        if message is None or message.id != _id(key, position):
            message = _Message(_id(key, position), encode(event()))
        self._remember(key, message)
        self._post(message)
        self._remember(key, None)

    def _remember(self, key: tuple[str, int], message: _Message | None) -> None:
        self._streams[key] = message
        self._streams.move_to_end(key)
        if len(self._streams) > _REMEMBERED:
            self._streams.popitem(last=False)

    def _post(self, message: _Message) -> None:
        assert self._endpoint is not None, "a lane connects before it opens"
        if self._gone is not None:
            raise Permanent(self._gone)
        answer = self._endpoint.post(message.body, self._headers(message))
        try:
            judge(answer, self.label)
        except Gone as error:
            self._gone = str(error)
            raise

    def _headers(self, message: _Message) -> dict[str, str]:
        # The time of this try, not of the event: receivers refuse what was signed more than five minutes ago.
        at = now()
        headers = {
            "content-type": "application/json",
            "user-agent": f"streamfan/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message.id, at, message.body.decode())
        return headers

    def _make_endpoint(self) -> Endpoint:
        try:
            from streamfan.sinks.webhook.endpoint import Endpoint
        except ModuleNotFoundError as error:
            raise MissingExtra("sink 'webhook'", "httpx2", "webhook") from error
        return Endpoint(self._url.geturl(), shown=self.label, timeout=self.options.timeout)

    def _make_signer(self) -> Webhook | None:
        if self.options.secret is None:
            return None
        try:
            from standardwebhooks import Webhook
        except ModuleNotFoundError as error:
            raise MissingExtra("sink 'webhook' with a secret", "standardwebhooks", "webhook") from error
        return Webhook(self.options.secret.get_secret_value())


def _id(key: tuple[str, int], position: int | str) -> str:
    """The same for the same piece of text; without a dot, which separates the id from the rest where it is signed."""
    stream, attempt = key
    return f"{stream}_{attempt}_{position}"


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """This module's sink."""
    return [WebhookSink]
