"""A webhook receiver that may be killed at any moment: it appends what it is sent to a file, and then answers.

It knows nothing of streamfan. What it had written and not answered comes again.

    python benchmarks/receiver.py PORT FILE
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Takes every request."""

    protocol_version = "HTTP/1.1"
    # Otherwise the answer's head waits for the client to acknowledge what was sent before.
    disable_nagle_algorithm = True
    file: int

    def do_POST(self) -> None:
        """Append the body, a line, and answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        os.write(self.file, body + b"\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def main(port: str, path: str) -> None:
    """Receive until somebody kills this process."""
    Handler.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    # Whoever was killed here may have left half a line.
    os.write(Handler.file, b"\n")
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
