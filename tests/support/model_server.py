"""What a server does that streams text, beside what `Receiver` can do already: in packets, with an end or without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.receiver import Exchange, Reply

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"


def streamed(body: bytes, *, size: int = 7, kind: str = "") -> Reply:
    """Send `body` in packets of a few bytes, as HTTP/1.1 does it."""

    def reply(exchange: Exchange) -> None:
        _send(exchange, body, size, kind)
        exchange.send(b"0\r\n\r\n")

    return reply


def dropped(body: bytes) -> Reply:
    """Send `body`, and close the connection in the middle of it all."""

    def reply(exchange: Exchange) -> None:
        exchange.hang_up()
        _send(exchange, body, len(body) or 1)

    return reply


def until_closed(body: bytes) -> Reply:
    """Send `body` as HTTP/1.0 does it, where the end of the connection is that of the body."""

    def reply(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.send(_HEAD.replace(b"1.1", b"1.0") + b"\r\n" + body)

    return reply


def held(body: bytes) -> Reply:
    """Send `body`, and then nothing for as long as anybody waits."""

    def reply(exchange: Exchange) -> None:
        exchange.hang_up()
        _send(exchange, body, len(body) or 1)
        exchange.pause()

    return reply


def _send(exchange: Exchange, body: bytes, size: int, kind: str = "") -> None:
    head = _HEAD.replace(b"text/event-stream", kind.encode()) if kind else _HEAD
    exchange.send(head + b"transfer-encoding: chunked\r\n\r\n")
    for packet in _packets(body, size):
        exchange.send(b"%x\r\n%b\r\n" % (len(packet), packet))


def _packets(body: bytes, size: int) -> Iterable[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))
