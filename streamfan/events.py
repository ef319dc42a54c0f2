"""The values that travel: a stream's identity, its chunks, and the events of wire format version 1.

The length of everything is counted in UTF-8 bytes, never in characters: an offset here is a file's size there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from streamfan.errors import UsageError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

VERSION = 1

FinishReason = Literal["stop", "length", "cancelled", "error"]
"""How a stream ended: OpenAI's terms, plus `cancelled` and `error`."""


_STREAM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_stream_id(id: str) -> bool:
    """Whether a stream may be called `id`."""
    return _STREAM_ID.fullmatch(id) is not None


def check_stream_id(id: str) -> None:
    """Refuse what no stream may be called.

    Raises:
        UsageError: `id` is malformed.
    """
    if not is_stream_id(id):
        raise UsageError(
            f"stream id {id!r} is malformed, expected 1 to 64 letters, digits, '-' or '_', first a letter or digit"
        )


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def check_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Return `meta`, if readers can be told of it.

    Raises:
        UsageError: It has no JSON form.
    """
    from pydantic_core import to_json

    try:
        to_json(meta)
    except ValueError as error:
        raise UsageError(f"meta has no JSON form: {error}\nTry: text, numbers, and lists and dicts of them") from None
    return meta


def well_formed(text: str) -> str:
    """`text` as it can be encoded: halves of a surrogate pair are joined, and a lone one becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    # Without another codec, whose import a forked child could wait for in vain.
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known about a stream when it opens; (id, attempt) identifies it.

    Attributes:
        attempt: Which try at the stream this is, Unix milliseconds unless given; a later one fences off an earlier one.
        writer: A short random name of the producing program.
        row: The index of the sequence in its batch.
        max_tokens: How many tokens it has at most; None where that is not known. It does not travel.
    """

    id: str
    attempt: int
    writer: str
    time: datetime
    model: str | None = None
    row: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    on_cancel: Callable[[str, str], None] | None = field(default=None, repr=False, compare=False)

    def cancel(self, reason: str, *, by: str) -> None:
        """Ask the producer to stop; any thread may, and the first reason given stays.

        Args:
            reason: Why, for the end event and everybody who reads it.
            by: Who asks: a sink's id, a user's name.
        """
        if self.on_cancel is not None:
            self.on_cancel(reason, by)


@dataclass(frozen=True)
class Chunk:
    """A piece of finalized text: never empty, never splits a code point, never retracted.

    Attributes:
        offset: UTF-8 bytes of the stream's text before this chunk.
        data: The text as UTF-8, encoded once for all sinks.
        token_ids: The ids that belong to offsets in (offset, end]; the first chunk also carries those at 0.
        time: When the last of its text was written.
    """

    stream: StreamInfo
    offset: int
    data: bytes
    token_ids: tuple[int, ...] = ()
    time: datetime = field(default_factory=now)

    @property
    def end(self) -> int:
        """UTF-8 bytes of the stream's text up to the end of this chunk."""
        return self.offset + len(self.data)

    @cached_property
    def text(self) -> str:
        """The text."""
        return self.data.decode()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a stream ended with an error."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who asked a stream to stop, and why."""

    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The first event of a stream."""

    v: int = VERSION
    type: Literal["start"] = "start"
    stream: str
    attempt: int
    writer: str
    time: datetime
    model: str | None = None
    row: int = 0
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, info: StreamInfo) -> Start:
        """The start event of the stream `info` describes."""
        return cls(
            stream=info.id,
            attempt=info.attempt,
            writer=info.writer,
            time=info.time,
            model=info.model,
            row=info.row,
            meta=info.meta,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A chunk as it travels."""

    v: int = VERSION
    type: Literal["text"] = "text"
    stream: str
    attempt: int
    offset: int
    end: int
    text: str
    token_ids: tuple[int, ...] = ()
    time: datetime

    @classmethod
    def of(cls, chunk: Chunk, *, token_ids: bool = True) -> Text:
        """The text event of `chunk`, with its token ids or without them."""
        return cls(
            stream=chunk.stream.id,
            attempt=chunk.stream.attempt,
            offset=chunk.offset,
            end=chunk.end,
            text=chunk.text,
            token_ids=chunk.token_ids if token_ids else (),
            time=chunk.time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Text that this receiver was not given: the bytes from `offset` to `end`."""

    v: int = VERSION
    type: Literal["gap"] = "gap"
    stream: str
    attempt: int
    offset: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last event of a stream: how it ended, and the proof of completeness.

    Attributes:
        offset: UTF-8 bytes of the whole text.
        tokens: How many tokens the stream has, by their ids or by its producer's count; 0 where nobody knows.
        token_ids: Those that no chunk carried.
        sha256: Over the UTF-8 text, in hexadecimal.
        ttft: Seconds from opening to the first text; None if there was none.
        duration: Seconds from opening to the end.
        complete: Whether the receiver of this event was given everything, without a gap.
        cancel: Who asked the stream to stop, where `finish_reason` is "cancelled".
        meta: What else its producer had to say at the end.
    """

    v: int = VERSION
    type: Literal["end"] = "end"
    stream: str
    attempt: int
    offset: int
    finish_reason: FinishReason
    error: Fault | None = None
    cancel: Cancellation | None = None
    tokens: int = 0
    token_ids: tuple[int, ...] = ()
    sha256: str
    ttft: float | None = None
    duration: float
    time: datetime = field(default_factory=now)
    complete: bool = True
    meta: dict[str, Any] = field(default_factory=dict)


Event = Start | Text | Gap | End


@lru_cache(1)
def _adapter() -> TypeAdapter[Event]:
    # Imported on first use: identities and chunks are needed where pydantic is not.
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Event, Field(discriminator="type")])


@lru_cache
def _adapter_of(kind: type[Event]) -> TypeAdapter[Any]:
    # One that need not find out which event it has takes a quarter of the time.
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def encode(event: Event) -> bytes:
    """The event as one line of JSON in UTF-8, without the line's end."""
    return _adapter_of(type(event)).dump_json(event)  # type: ignore[arg-type]  # mypy: are its instances hashable?


def decode(data: bytes | str) -> Event:
    """The event that `data` holds; fields that this version does not know are ignored.

    Raises:
        WireError: `data` is no event, or an event of another version.
    """
    from pydantic import ValidationError

    try:
        event = _adapter().validate_json(data)
    except ValidationError as error:
        # The version first: a newer event may well have another shape.
        _check_version(data)
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "event"
        # It may repeat what it has found, which may be anything.
        said = " ".join(first["msg"].split())
        raise WireError(f"not an event: {where}: {said}: {_excerpt(data)}") from None
    _refuse_other_than(VERSION, event.v)
    if not isinstance(event, Gap):
        # pydantic's own time zone crashes the interpreter where one of its times is left at exit.
        try:
            object.__setattr__(event, "time", _in_utc(event.time))
        except OverflowError:
            raise WireError(f"not an event: time: there is none such in UTC: {_excerpt(data)}") from None
    return event


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _check_version(data: bytes | str) -> None:
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(loaded, dict):
        _refuse_other_than(VERSION, loaded.get("v", VERSION))


def _refuse_other_than(known: int, found: object) -> None:
    if found != known:
        raise WireError(
            f"event of version {found!r}, this reader knows version {known}\nTry: pip install --upgrade streamfan"
        )


def _excerpt(data: bytes | str) -> str:
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    return repr(text if len(text) <= 80 else text[:77] + "...")


FINISH_REASONS: tuple[str, ...] = get_args(FinishReason)
