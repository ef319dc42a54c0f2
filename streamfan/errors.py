"""Every exception that streamfan raises.

StreamfanError
├── UsageError                what was asked for cannot be done as it was said
│   ├── SpecError             a sink or source specification that does not parse
│   ├── ConfigError           an option, a configuration file or an environment variable
│   ├── PluginError           a sink or source that is unknown, broken or claimed twice
│   ├── MissingExtra          an optional dependency is not installed
│   └── UnsupportedDecode     a decode argument that cannot be honoured token by token
├── SinkError                 what a sink raises; says what the lane does next
│   ├── Retryable             try again, the same piece
│   ├── Permanent             this stream has failed at this sink
│   └── SinkClosed            the destination has had enough: no failure
├── SinkTimeout               a sink has not answered in time
├── SourceError               no text can be had from this source
├── StreamError
│   ├── StreamEnded           the stream has an outcome already
│   └── StreamFailed          the stream ended with an error
├── StreamerMisuse            put() and end() in an order that cannot be honoured
├── WireError                 bytes that are no event of a version this reader knows
└── SinksFailed               a required sink was not given everything

The library raises; only the command line turns errors into text and exit codes.
"""

from __future__ import annotations


class StreamfanError(Exception):
    """What every error of streamfan has in common."""


class UsageError(StreamfanError):
    """What was asked for cannot be done as it was said; the text says what to change."""


class SpecError(UsageError, ValueError):
    """A sink or source specification that does not parse."""


class ConfigError(UsageError, ValueError):
    """An option, configuration file or environment variable that cannot be used."""


class PluginError(UsageError):
    """A sink or source that is unknown, cannot be loaded, or is claimed by two distributions."""


class MissingExtra(UsageError, ImportError):
    """An optional dependency is not installed.

    Args:
        what: What needs it, as the user knows it: "sink 'redis'".
        package: The distribution that is missing.
        extra: The extra of streamfan that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs {package}, which is not installed\nTry: pip install 'streamfan[{extra}]'")


class UnsupportedDecode(UsageError, ValueError):
    """A decode argument that cannot be honoured token by token."""


class SinkError(StreamfanError):
    """What a sink raises; its class says what the lane does next."""


class Retryable(SinkError):
    """The destination could not take the piece now; the lane tries the same piece again.

    Args:
        message: What went wrong.
        after: Seconds to wait at least, where the destination said so (`Retry-After`).
    """

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Permanent(SinkError):
    """The destination will never take this stream; the lane's other streams go on."""


class SinkClosed(SinkError):
    """The destination has had enough (a closed pipe): the lane ends, and that is no failure."""


class SinkTimeout(StreamfanError, TimeoutError):
    """A sink has not answered within the time that its lane's options give it."""


class SourceError(StreamfanError):
    """No text can be had from this source."""


class StreamError(StreamfanError):
    """Something about one stream."""


class StreamEnded(StreamError):
    """The stream has an outcome already: nothing can be appended, and the first outcome stays."""


class StreamFailed(StreamError):
    """The stream ended with an error; a reader has seen all the text there is.

    Args:
        stream: The stream's id.
        kind: The type of the producer's error, by name.
        message: Its text.
    """

    def __init__(self, stream: str, kind: str, message: str) -> None:
        super().__init__(f"stream {stream!r} failed: {kind}: {message}")
        self.stream = stream
        self.kind = kind
        self.message = message


class StreamerMisuse(StreamfanError, RuntimeError):
    """put() and end() came in an order that cannot be honoured."""


class WireError(StreamfanError, ValueError):
    """Bytes that are no event, or an event of a version that this reader does not know."""


class SinksFailed(StreamfanError):
    """At least one required sink was not given everything; the text names each and why."""
