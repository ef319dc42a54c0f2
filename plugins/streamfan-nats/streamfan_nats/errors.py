"""What goes wrong between a program and its NATS, by what is to be done about it.

SinkError
├── Retryable
│   └── Unreachable
└── Permanent
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from streamfan import Permanent, Retryable

if TYPE_CHECKING:
    from streamfan.errors import SinkError

# What servers say that will not pass, in the words of nats-server's errors.go; nats-py has no class for most.
_REFUSALS = ("authorization violation", "authentication expired", "permissions violation", "user authentication")
_TOO_LARGE = "Try: a smaller lane option max_bytes, or a larger max_payload in the server's configuration"
# Errors of https://github.com/nats-io/nats-server/blob/main/server/errors.json; its codes are those of HTTP.
STREAM_NOT_FOUND = 10059
_WRONG_LAST_SEQUENCE = 10071
# No suitable peers, as long as a cluster gathers; and of two programs that make the stream, with other options, one is
# the first.
_PASSING = {10005, 10058}
# JetStream is not enabled, for anybody or for this account; several replicas where there is one server.
_LASTING = {10039, 10074, 10076}
_SERVER_ERROR = 500


class Unreachable(Retryable):
    """Nobody answered, or nobody answers any more; what was sent last may have arrived or not."""


def sorted_error(error: BaseException, server: str) -> SinkError:
    """What nats-py has raised, as the class that says what comes next."""
    from nats import errors as nats
    from nats.js import errors as jetstream

    message = f"NATS at {server}: {_words(error)}"
    match error:
        case Permanent() | Retryable():
            return error
        case nats.MaxPayloadError():
            return Permanent(f"{message}\n{_TOO_LARGE}")
        case jetstream.NoStreamResponseError():
            return Retryable(f"NATS at {server}: nobody takes the message: the JetStream stream is gone, or its leader")
        case jetstream.ServiceUnavailableError(err_code=None):
            return Retryable(f"NATS at {server}: no JetStream answers\nTry: nats-server --jetstream, or mode core")
        case jetstream.APIError(err_code=number) if number == _WRONG_LAST_SEQUENCE:
            return Retryable(f"{message}: somebody else has written, or a message of ours was late")
        case jetstream.APIError(code=code, err_code=number):
            passing = code is None or code >= _SERVER_ERROR or number in _PASSING
            return Retryable(message) if passing and number not in _LASTING else Permanent(message)
        case ssl.SSLCertVerificationError():
            return Permanent(f"{message}\nTry: the option tls_ca")
        case nats.Error() if any(words in str(error).lower() for words in _REFUSALS):
            return Permanent(message)
    return Unreachable(message)


def _words(error: BaseException) -> str:
    from nats.js import errors as jetstream

    if isinstance(error, jetstream.APIError):
        return f"{error.description or type(error).__name__} ({error.err_code})"
    text = str(error).removeprefix("nats: ").strip().strip("'").rstrip(".")
    return text or type(error).__name__
