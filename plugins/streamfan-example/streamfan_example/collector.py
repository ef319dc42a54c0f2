"""The destination: a collector, which keeps each stream that it is told of in a file of its own.

It is here so that there is something to send to, and so that the tests have a real destination. It knows nothing of
lanes and retries, only one rule: text is appended if it begins where the file ends. Each line that it gets is a JSON
object, after the first one an event of streamfan's wire format, and each is answered with one line:

=============================================  ===================================================================
`{"type": "hello", "token": "s3cret"}`         `ok 0`
`{"type": "start", "stream": "a", ...}`        `ok 5`: it holds 5 bytes of this attempt at this stream
`{"type": "text", "offset": 5, ...}`           `ok 9`: it holds 9 now; the same number as before if it did not fit
`{"type": "end", "sha256": "...", ...}`        `ok 9`
any                                            `busy 2 why`: try again, in two seconds
any                                            `no: why`: do not
=============================================  ===================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock
from typing import TYPE_CHECKING

from streamfan import End, Start, StreamfanError, Text
from streamfan.events import check_stream_id, decode

if TYPE_CHECKING:
    from pathlib import Path

    from streamfan import Event

GREETED = "ok 0"
_LONGEST_LINE = 16 * 1024 * 1024


class _Conversation(StreamRequestHandler):
    """What is said over one connection."""

    server: Collector

    def handle(self) -> None:
        """Greet, and then answer line by line until the other side hangs up."""
        # Whoever has hung up needs no answer.
        with suppress(ConnectionError):
            greeting = self.server.greet(self._line())
            self._say(greeting)
            while greeting == GREETED and (line := self._line()):
                self._say(self.server.answer(line))

    def _line(self) -> bytes:
        line = self.rfile.readline(_LONGEST_LINE)
        # A line that was cut off is none.
        return line if line.endswith(b"\n") else b""

    def _say(self, answer: str) -> None:
        # An error's text may have several lines, an answer has one.
        self.wfile.write(f"{' '.join(answer.split())}\n".encode())


class Collector(ThreadingTCPServer):
    """Listens, and keeps what it is told in a folder; a context manager.

    Args:
        address: Host and port; port 0 takes a free one, see `server_address`.
        folder: Where the files go; made if it is not there.
        token: What has to be said first; anything will do where None.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, token: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(address, _Conversation)
        self._folder = folder
        self._token = token
        # Two connections may speak of the same stream.
        self._lock = Lock()

    def greet(self, line: bytes) -> str:
        """The answer to the first line of a connection."""
        try:
            hello = json.loads(line)
            token = hello["token"] if hello["type"] == "hello" else None
        except (ValueError, LookupError, TypeError):
            return "no: the first line has to be a hello"
        known = self._token is None or hmac.compare_digest(str(token).encode(), self._token.encode())
        return GREETED if known else "no: wrong token"

    def answer(self, line: bytes) -> str:
        """The answer to any other line."""
        try:
            event = decode(line)
            # It becomes part of a path.
            check_stream_id(event.stream)
        except StreamfanError as error:
            return f"no: {error}"
        try:
            with self._lock:
                return self._take(event)
        except OSError as error:
            return f"busy 1 {error.strerror}"

    def _take(self, event: Event) -> str:
        path = self._folder / f"{event.stream}-{event.attempt}.txt"
        path.touch()
        held = path.stat().st_size
        match event:
            case Start():
                held = _whole(path)
            case Text() if event.offset == held:
                with path.open("ab") as file:
                    file.write(event.text.encode())
                held = path.stat().st_size
            case End() if event.complete and event.offset == held and event.sha256 != _sha256(path):
                return "no: the text has another checksum"
        return f"ok {held}"


def _whole(path: Path) -> int:
    """Cut off half a character, which a full disk or a kill may have left; returns the bytes that stay."""
    held = len(path.read_bytes().decode(errors="ignore").encode())
    os.truncate(path, held)
    return held


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
