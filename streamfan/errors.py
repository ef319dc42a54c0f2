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
├── SinkBehind                a sink was too far behind, and made no progress
├── SourceError               no text can be had from this source
├── StreamError
│   ├── StreamEnded           the stream has an outcome already
│   ├── StreamFailed          the stream ended with an error
│   ├── StreamNotFound        there is no such stream to read
│   ├── ProducerLost          the stream has no end, and nobody is left to write one
│   ├── HistoryTrimmed        text that a reader should get next is not there, or not any more
│   ├── Restarted             a later attempt has taken the place of the one that was read
│   ├── TextAltered           the text that was read is not the producer's
│   └── CancelRefused         the producer hears no request to stop, or not this one
├── ServerError               streams cannot be read from where they should be
│   ├── ServerUnreachable     nobody answers there
│   └── ServerRefused         whoever answers there refuses
├── StreamerMisuse            put() and end() in an order that cannot be honoured
├── WireError                 bytes that are no event of a version this reader knows
└── SinksFailed               a required sink was not given everything

The library raises; only the command line turns errors into text and exit codes.
"""

from __future__ import annotations


class StreamfanError(Exception):
    """What every error of streamfan has in common: also that it can be copied, and pickled for another process."""

    def __reduce__(self) -> tuple[object, ...]:
        # Not by the constructor: what that takes is not what is kept.
        return _again, (type(self), self.args), self.__dict__


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
        after: Seconds to wait at least, if the destination said so (`Retry-After`). If there is less time left than
            that, there is one last try when the time is over.
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


class SinkBehind(StreamfanError):
    """A sink was further behind than its lane's options allow, and made no progress."""


class SourceError(StreamfanError):
    """No text can be had from this source."""


class StreamError(StreamfanError):
    """Something about one stream.

    Args:
        message: What it is.
        stream: The stream's id; empty where whoever catches it knows of which stream it is.
    """

    def __init__(self, message: str = "", *, stream: str = "") -> None:
        super().__init__(message)
        self.stream = stream


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
        super().__init__(f"stream {stream!r} failed: {kind}: {message}", stream=stream)
        self.kind = kind
        self.message = message


class StreamNotFound(StreamError, LookupError):
    """There is no such stream to read: it never was, or was forgotten."""


class ProducerLost(StreamError):
    """The stream has no end, and its producer has not shown for long that it lives.

    Reading can be taken up again, from where it was.

    Args:
        stream: The stream's id.
        offset: UTF-8 bytes of its text that were read.
        lease: Seconds within which a producer has to show that it lives.
    """

    def __init__(self, stream: str, offset: int, lease: float) -> None:
        super().__init__(
            f"stream {stream!r} has no end after {offset:,} bytes: "
            f"its producer has not shown for {lease:g} s that it lives",
            stream=stream,
        )
        self.offset = offset
        self.lease = lease


class HistoryTrimmed(StreamError):
    """Text that a reader should get next is not there: trimmed, or never delivered; after the hole reading can go on.

    Args:
        stream: The stream's id.
        offset: Where the hole begins: UTF-8 bytes of text that were read.
        end: Where it ends.
    """

    def __init__(self, stream: str, offset: int, end: int) -> None:
        super().__init__(f"stream {stream!r} lacks its text from byte {offset:,} to byte {end:,}", stream=stream)
        self.offset = offset
        self.end = end


class Restarted(StreamError):
    """A later attempt has taken the place of the one that was read; reading can be taken up again, at its start.

    Args:
        stream: The stream's id.
        attempt: The attempt that was read.
        newer: The one that there is now.
    """

    def __init__(self, stream: str, attempt: int, newer: int) -> None:
        super().__init__(
            f"stream {stream!r} was started again: attempt {newer} has taken the place of {attempt}", stream=stream
        )
        self.attempt = attempt
        self.newer = newer


class TextAltered(StreamError):
    """The text that was read is not the producer's: their sha256 differ."""


class CancelRefused(StreamError):
    """The producer hears no request to stop, or not this one."""


class ServerError(StreamfanError):
    """Streams cannot be read from where they should be."""


class ServerUnreachable(ServerError, ConnectionError):
    """Nobody answers where streams are to be read from."""


class ServerRefused(ServerError, PermissionError):
    """Whoever answers where streams are to be read from refuses: a password, a command, another kind of server."""


class StreamerMisuse(StreamfanError, RuntimeError):
    """put() and end() came in an order that cannot be honoured."""


class WireError(StreamfanError, ValueError):
    """Bytes that are no event, or an event of a version that this reader does not know."""


class SinksFailed(StreamfanError):
    """At least one required sink was not given everything; the text names each and why."""


def _again(kind: type[StreamfanError], arguments: tuple[object, ...]) -> StreamfanError:
    return kind.__new__(kind, *arguments)


def text_of(error: BaseException) -> str:
    """What an error says; nothing where it fails to, for its class may be anybody's. Never raises."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - foreign code: an error that cannot be told of is still that error
        return ""
