"""The types that options are written in: durations, sizes, secrets.

Sinks, lanes and sources describe their options with these, so "10ms" and `{ env = "TOKEN" }` mean the same everywhere.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

Boundary = Literal["chunk", "word", "line", "sentence", "all"]
"""Where a merged chunk may end."""

WhenFull = Literal["fail", "block", "skip"]
"""What becomes of a lane that is too far behind."""

_UNITS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_USERINFO = re.compile(r"//[^/?#]*@")
# More than anybody waits, and less than what a clock, a socket or a server fails to count to.
_LONGEST = 10 * 365 * 86400.0
_LARGEST = 1 << 40
_BYTE_SIZE = TypeAdapter(ByteSize)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)\s*", re.ASCII)


def seconds(value: Any) -> Any:
    """A duration in seconds, from a number or from text such as "10ms", "1.5 s", "2m"."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None or match[2] not in _UNITS:
        raise ValueError(
            f"not a duration: {value!r}, expected a number of seconds or a number with us, ms, s, m, h or d"
        )
    return float(match[1]) * _UNITS[match[2]]


def size(value: Any) -> Any:
    """A number of bytes, from a number or from text such as "64KiB"."""
    if not isinstance(value, str):
        return value
    try:
        return int(_BYTE_SIZE.validate_python(value))
    except ValidationError:
        raise ValueError(
            f"not a size: {value!r}, expected a number of bytes or a number with KiB, MiB, kB, MB"
        ) from None


def secret(value: Any) -> Any:
    """A secret, given as it is, as `{"env": NAME}`, or as `{"file": PATH}` (surrounding white space is dropped)."""
    match value:
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"environment variable {name!r} is not set")
            return os.environ[name]
        case {"file": str(path), **rest} if not rest:
            try:
                return Path(path).expanduser().read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"file {path!r} cannot be read: {error}") from None
        case dict():
            raise ValueError('expected text, {"env": NAME} or {"file": PATH}')
    return value


def _as_the_system_has_it(value: Any, usual: ValidatorFunctionWrapHandler) -> Any:
    # A name may hold bytes that are no UTF-8, and then it is text to Python, and none to pydantic.
    return value if isinstance(value, str) and value else usual(value)


def without_userinfo(target: str) -> str:
    """A target as people may see it: a URL's user name and password are left out."""
    return _USERINFO.sub("//***@", target)


def _not_too_long(value: float) -> float:
    if value > _LONGEST:
        raise ValueError(f"too long: {value:g} s, expected at most {_LONGEST / 86400:g}d")
    return value


def _not_too_large(value: int) -> int:
    if value > _LARGEST:
        raise ValueError(f"too large: {ByteSize(value).human_readable()}, expected at most 1TiB")
    return value


# In a schema for editors: what may be written, not what is made of it.
_WRITTEN_SECONDS = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^\s*(\d+(\.\d+)?|\.\d+)\s*(us|ms|s|m|h|d)?\s*$",
    "examples": ["10ms"],
}
_WRITTEN_SIZE = {"type": ["integer", "string"], "minimum": 0, "examples": ["64KiB"]}
_WRITTEN_SECRET = {
    "type": ["string", "object"],
    "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}

Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    Field(ge=0, allow_inf_nan=False),
    AfterValidator(_not_too_long),
    WithJsonSchema(_WRITTEN_SECONDS),
]
"""A duration in seconds, of ten years at most; accepts "10ms"."""

Size = Annotated[int, BeforeValidator(size), Field(ge=0), AfterValidator(_not_too_large), WithJsonSchema(_WRITTEN_SIZE)]
"""A number of bytes, of 1 TiB at most; accepts "64KiB"."""

PathName = Annotated[str, Field(min_length=1), WrapValidator(_as_the_system_has_it)]
"""Text that names a file, or may have one in it: whatever bytes a system allows in names."""

Secret = Annotated[SecretStr, BeforeValidator(secret), WithJsonSchema(_WRITTEN_SECRET)]
"""Text that is never printed; accepts `{ env = "NAME" }` and `{ file = "PATH" }`."""


class Options(BaseModel):
    """What every set of options has in common: frozen, described, and without tolerance for unknown names."""

    # hide_input: a refused value may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    @model_validator(mode="after")
    def _warn(self) -> Self:
        for name in self.model_fields_set:
            if advice := type(self).model_fields[name].deprecation_message:
                warnings.warn(f"option {name!r} is deprecated: {advice}", DeprecationWarning, stacklevel=3)
        return self


class LaneOptions(Options):
    """How text is delivered to one sink; the same for every sink."""

    required: bool = Field(default=True, description="Whether the run fails if this sink does; see exit codes.")
    linger: Seconds = Field(
        default=0.05, description="How long text may wait to be merged; a stream's first chunk never waits."
    )
    boundary: Boundary = Field(
        default="chunk",
        description="Deliver only whole chunks, words, lines or sentences; or, all, the whole text at its end.",
    )
    max_bytes: Annotated[Size, Field(ge=4)] = Field(default=64 * 1024, description="The largest merged chunk.")
    sequential: bool = Field(
        default=False, description="Finish one stream before the next begins; the others wait, which costs nothing."
    )
    buffer_bytes: Size = Field(
        default=64 * 1024 * 1024,
        description="How much text may wait, over all its streams, for a sink that makes no progress; also at most "
        "4,096 streams. Then see when_full.",
    )
    when_full: WhenFull = Field(
        default="fail",
        description=(
            "What happens when more than buffer_bytes wait for the sink. fail: if it makes no progress for a second, "
            "it is given no more of the streams that are behind, and keeps the beginning of each. block: the "
            "generation waits for it, until it has made no progress for call_timeout. skip: if it makes no progress "
            "for a second, it skips what waits and is told of the gap; only for sinks that accept gaps."
        ),
    )
    max_elapsed: Seconds = Field(default=60.0, description="Total time of the retries of one piece.")
    connect_timeout: Seconds = Field(
        default=10.0, description="How long the destination may take to be reached at the start."
    )
    call_timeout: Seconds = Field(
        default=30.0, description="A call that takes longer is reported as stalled, and abandoned at the end."
    )

    def over(self, defaults: LaneOptions) -> LaneOptions:
        """These options, with what is set in `defaults` for whatever is not set here."""
        return LaneOptions(**{**defaults.model_dump(exclude_unset=True), **self.model_dump(exclude_unset=True)})
