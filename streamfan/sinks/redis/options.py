"""The options of the `redis` sink, and which of them belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from streamfan.options import Seconds, Secret, Size
from streamfan.redis.names import PREFIX
from streamfan.sink import SinkOptions

if TYPE_CHECKING:
    from streamfan.redis.lease import Control

_PUBSUB_ONLY = ("format", "channel")
_LOG_ONLY = ("ttl", "lease", "history", "history_bytes", "control", "control_token", "wait_replicas", "wait_timeout")


# A lease outlives this many beats; what may go wrong meanwhile is told where the link's timeout is chosen.
_BEATS = 10
# How long somebody waits at most, who asks a producer to stop that has nothing to say.
_ATTENTION = 1.0


class RedisOptions(SinkOptions):
    """The options of the `redis` sink."""

    prefix: Annotated[str, Field(pattern=PREFIX)] = Field(
        default="streamfan", description="What every key and channel begins with."
    )
    username: str | None = Field(default=None, description="The user to log in as, instead of the URL's.")
    password: Secret | None = Field(default=None, description="The password to log in with, instead of the URL's.")
    mode: Literal["both", "log", "pubsub"] = Field(
        default="both",
        description="Keep a log and publish each event once it is there; only keep the log; "
        "or only publish, at most once, for subscribers that know nothing of logs.",
    )
    ttl: Annotated[Seconds, Field(ge=1)] = Field(
        default=24 * 3600.0, description="How long a stream is kept after its end."
    )
    lease: Annotated[Seconds, Field(ge=5)] = Field(
        default=20.0, description="How long after its last sign of life the producer counts as lost."
    )
    history: Annotated[int, Field(ge=100, le=1_000_000_000)] = Field(
        default=100_000, description="About how many events of a stream are kept; the oldest are forgotten first."
    )
    # Redis forgets whole nodes of its log, by default of 4 KiB.
    history_bytes: Annotated[Size, Field(ge=4096)] | None = Field(
        default=None, description="About how many bytes of a stream's text are kept; the oldest are forgotten first."
    )
    token_ids: bool = Field(default=True, description="Write the token ids beside the text.")
    control: bool = Field(default=False, description="Let readers stop the model.")
    control_token: Secret | None = Field(
        default=None, description="Obey only readers that know this token; else all that may write to this Redis."
    )
    wait_replicas: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=0, description="How many replicas must have a stream's end before it counts as delivered."
    )
    wait_timeout: Annotated[Seconds, Field(gt=0)] = Field(
        default=5.0, description="How long to wait for these replicas, before trying again."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="With mode pubsub: publish the events, or the text as it is and nothing else."
    )
    channel: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="With mode pubsub: where to publish; {stream} is the stream's id. "
        "Otherwise PREFIX:{ID}:live, where the braces are literal.",
    )

    @model_validator(mode="after")
    def _belong_together(self) -> RedisOptions:
        pubsub = self.mode == "pubsub"
        for name in _LOG_ONLY if pubsub else _PUBSUB_ONLY:
            if name in self.model_fields_set:
                needed = (
                    "mode both or log: nothing is kept in mode pubsub"
                    if pubsub
                    else f"mode pubsub, and it is {self.mode!r}"
                )
                raise ValueError(f"{name} needs {needed}")
        if self.format == "text" and "token_ids" in self.model_fields_set:
            raise ValueError("token_ids needs format json: a text has no token ids")
        if self.control_token is not None and not self.control:
            raise ValueError("control_token needs control = true: else nobody is heard")
        if self.token == "":
            raise ValueError("control_token is empty, and everybody knows that")
        if self.wait_replicas and self.wait_timeout > self.lease / 2:
            raise ValueError("wait_timeout needs a lease at least twice as long: nobody renews it meanwhile")
        return self

    @property
    def heartbeat(self) -> float:
        """Seconds between two beats of a stream."""
        beat = self.lease / _BEATS
        return min(beat, _ATTENTION) if self.control else beat

    @property
    def heard(self) -> Control:
        """Whose requests to stop are heard."""
        if not self.control:
            return "off"
        return "open" if self.control_token is None else "token"

    @property
    def token(self) -> str | None:
        """What a request to stop has to prove that it knows; None where nothing is."""
        return None if self.control_token is None else self.control_token.get_secret_value()

    @property
    def credentials(self) -> dict[str, str]:
        """What to log in with instead of what the URL says."""
        return {
            **({} if self.username is None else {"username": self.username}),
            **({} if self.password is None else {"password": self.password.get_secret_value()}),
        }
