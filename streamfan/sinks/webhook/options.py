"""The options of the `webhook` sink, and which of them belong together.

What can be wrong with them is found when they are given, keys and certificates included, and not when text is waiting.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from streamfan.options import Seconds, Secret
from streamfan.sink import SinkOptions
from streamfan.sinks.webhook.headers import problem_with
from streamfan.sinks.webhook.tls import Identity, trusting

if TYPE_CHECKING:
    from collections.abc import Mapping

PemFile = Annotated[Path, AfterValidator(Path.expanduser)]
"""The path of a file in PEM; `~` at its beginning is the home directory."""

# Visible ASCII. No quote and no brace: a table in JSON would be taken for a token.
_TOKEN = re.compile(r"[!#-z|~]+", re.ASCII)


class WebhookOptions(SinkOptions):
    """The options of the `webhook` sink."""

    secret: Secret | None = Field(
        default=None, description="Sign every request with this key: whsec_ and the base64 of 24 to 64 random bytes."
    )
    previous_secret: Secret | None = Field(
        default=None, description="Sign with this key too, until every receiver knows the new one."
    )
    bearer_token: Secret | None = Field(
        default=None, description="Send this as 'Authorization: Bearer TOKEN'; over http:// it can be read on the way."
    )
    headers: dict[str, Secret] = Field(
        default={}, description='Send these headers too, as {"X-Api-Key": {"env": "API_KEY"}}; no value is ever shown.'
    )
    timeout: Annotated[Seconds, Field(gt=0)] = Field(
        default=10.0, description="How long one request may take, from connecting to the end of the answer."
    )
    connect_timeout: Annotated[Seconds, Field(gt=0)] = Field(
        default=5.0, description="How much of that connecting may take, the TLS handshake included."
    )
    ca_file: PemFile | None = Field(
        default=None, description="Trust the authorities in this PEM file, instead of the system's."
    )
    client_cert: PemFile | None = Field(
        default=None,
        description="Show this certificate to receivers that ask for one: a PEM file, with its key or without.",
    )
    client_key: PemFile | None = Field(default=None, description="The certificate's key, where its own file lacks it.")
    client_key_password: Secret | None = Field(default=None, description="What that key is encrypted with.")
    public_only: bool = Field(
        default=False,
        description="Send to public addresses only; for programs that take URLs from their own users. "
        "Link-local addresses and metadata services are refused always.",
    )
    token_ids: bool = Field(default=False, description="Send the token ids too.")

    @field_validator("secret", "previous_secret")
    @classmethod
    def _be_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_key(secret.get_secret_value()):
            raise ValueError("not a signing secret, expected whsec_ and the base64 of 24 to 64 random bytes")
        return secret

    @field_validator("bearer_token")
    @classmethod
    def _be_a_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("not a token, expected visible ASCII characters, without spaces, quotes and braces")
        return token

    @field_validator("headers")
    @classmethod
    def _be_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if problem := problem_with({name: value.get_secret_value() for name, value in headers.items()}):
            raise ValueError(problem)
        return headers

    @field_validator("ca_file")
    @classmethod
    def _hold_authorities(cls, path: Path | None) -> Path | None:
        if path is not None:
            trusting(path)
        return path

    @model_validator(mode="after")
    def _belong_together(self) -> WebhookOptions:
        if self.previous_secret is not None and self.secret is None:
            raise ValueError("previous_secret needs secret, the key that takes its place")
        if self.bearer_token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("bearer_token and headers both set Authorization")
        for name in ("client_key", "client_key_password"):
            if getattr(self, name) is not None and self.client_cert is None:
                raise ValueError(f"{name} needs client_cert, the certificate that it belongs to")
        if self.identity is not None:
            self.identity.check()
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys to sign with, the new one first."""
        return tuple(key.get_secret_value() for key in (self.secret, self.previous_secret) if key is not None)

    @property
    def own_headers(self) -> Mapping[str, str]:
        """The headers to send that the user chose, by lower-case name."""
        headers = {name.lower(): value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer_token is not None:
            headers["authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        return headers

    @property
    def identity(self) -> Identity | None:
        """Who this side says it is, where it is asked."""
        if self.client_cert is None:
            return None
        password = None if self.client_key_password is None else self.client_key_password.get_secret_value()
        return Identity(self.client_cert, self.client_key, password)


def _is_key(secret: str) -> bool:
    # Stricter than the library that signs: it skips over what is no base64, and would sign with what is left.
    prefix, _, key = secret.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(key + "=" * (-len(key) % 4), validate=True)) <= 64
    except ValueError:
        return False
