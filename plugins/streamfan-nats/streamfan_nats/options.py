"""The options of the `nats` sink, and which of them belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streamfan import SinkOptions
from streamfan.options import Seconds, Secret

_JETSTREAM_ONLY = ("stream", "max_age", "duplicate_window", "replicas")
# What a subject may be made of without a wildcard, and without what NATS keeps for itself: "$JS", "_INBOX".
_PREFIX = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$"


class NatsOptions(SinkOptions):
    """The options of the `nats` sink."""

    mode: Literal["jetstream", "core"] = Field(
        default="jetstream",
        description="Have JetStream keep the events, exactly once; or only publish them, at most once, for "
        "subscribers that are there already.",
    )
    prefix: Annotated[str, Field(pattern=_PREFIX)] = Field(
        default="streamfan", description="A stream's subject is PREFIX.ID, where ID is the stream's id."
    )
    user: str | None = Field(default=None, description="The user to log in as, instead of the URL's.")
    password: Secret | None = Field(default=None, description="The password to log in with, instead of the URL's.")
    token: Secret | None = Field(default=None, description="The token to log in with, instead of the URL's.")
    creds: Secret | None = Field(
        default=None, description="What a .creds file holds, a user's JWT and key; needs streamfan-nats[creds]."
    )
    tls_ca: Path | None = Field(
        default=None, description="A PEM file of certificates to trust instead of the system's."
    )
    tls_cert: Path | None = Field(
        default=None, description="A PEM file of our own certificate, for servers that ask for one."
    )
    tls_key: Path | None = Field(default=None, description="A PEM file of its key, if that is another one.")
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        default="STREAMFAN", description="The JetStream stream that keeps the events; one that is not there is made."
    )
    max_age: Seconds = Field(
        default=24 * 3600.0, description="How long events are kept by a stream that is made; 0 is for ever."
    )
    duplicate_window: Annotated[Seconds, Field(ge=0.1)] = Field(
        default=120.0, description="How long message ids are remembered by a stream that is made."
    )
    replicas: Annotated[int, Field(ge=1, le=5)] = Field(
        default=1, description="How many servers of a cluster have a stream that is made."
    )
    token_ids: bool = Field(default=True, description="Publish the token ids beside the text.")

    @model_validator(mode="after")
    def _belong_together(self) -> NatsOptions:
        for name in _JETSTREAM_ONLY if self.mode == "core" else ():
            if name in self.model_fields_set:
                raise ValueError(f"{name} needs mode jetstream: nothing is kept in mode core")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password need each other")
        if len([each for each in (self.password, self.token, self.creds) if each is not None]) > 1:
            raise ValueError("password, token and creds are three ways to log in: give one")
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key needs tls_cert")
        if 0 < self.max_age < self.duplicate_window:
            raise ValueError("duplicate_window is longer than max_age, and NATS allows at most as long")
        return self
