"""The main job: one generation, live on the terminal, and at the same time in a file, in Redis and at a webhook.

A real transformers model (the small one that comes with streamfan) writes a story. At the end the text is read back
from every place it went to, and its sha256 compared with that of what the model itself returned.

    python examples/demo.py ["Once upon a time"]
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from rich import box
from rich.console import Console
from rich.table import Table

from streamfan import Fan, embedded
from streamfan.demo import PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import Report

FILE = Path("streamfan-demo.txt")
WIDE = 110
console = Console(stderr=True, highlight=False)


class Receiver(BaseHTTPRequestHandler):
    """A webhook's other end: keeps the text of every event it is sent."""

    protocol_version = "HTTP/1.1"
    pieces: list[str]

    def do_POST(self) -> None:
        """Take one event."""
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.pieces.append(event.get("text", ""))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: stderr is for people."""


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A receiver on a free loopback port: its URL, and what it was sent."""
    pieces: list[str] = []
    handler = type("DemoReceiver", (Receiver,), {"pieces": pieces})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", pieces
        server.shutdown()


def sha256(text: str | bytes) -> str:
    """In hexadecimal, over UTF-8."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def in_redis(url: str, stream: str) -> str:
    """The text of a stream as anybody finds it in Redis, with plain redis-py."""
    with redis.Redis.from_url(url) as client:
        entries = client.xrange(f"streamfan:{{{stream}}}:log")
    return "".join(json.loads(fields[b"event"]).get("text", "") for _, fields in entries)


def show(report: Report, expected: str, read_back: dict[str, str]) -> None:
    """Each sink with what it was given, and what is there now."""
    # All of a sha256 where it fits on one line; else enough to compare by eye.
    shown = None if console.width >= WIDE else 16
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "state", "bytes", "lag", "sha256"):
        table.add_column(column, overflow="fold", justify="right" if column in {"bytes", "lag"} else "left")
    (stream,) = report.streams
    table.add_row("model", str(stream.finish_reason), f"{stream.bytes}", "", expected[:shown])
    for sink, delivery in zip(report.sinks, stream.deliveries, strict=True):
        # stdout cannot be read back; what was written there is what its lane has counted.
        found = read_back.get(sink.id, delivery.sha256)
        colour = "green" if found == expected else "red"
        table.add_row(
            sink.id,
            str(sink.state),
            f"{sink.bytes}",
            f"{sink.max_lag * 1000:.0f} ms",
            f"[{colour}]{str(found)[:shown]}[/]",
        )
    console.print(table)


def main() -> int:
    """Run the demo; 0 if every place holds exactly the model's text."""
    prompt = sys.argv[1] if len(sys.argv) > 1 else "Once upon a time"
    with console.status("loading the model"):
        # After the status line: these imports are most of the wait.
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has few types
        tokenizer = AutoTokenizer.from_pretrained(PATH)
        model = AutoModelForCausalLM.from_pretrained(PATH)
    redis_url = os.environ.get("REDIS_URL") or embedded.shared().url
    with receiver() as (hook, pieces):
        with Fan("stdout", f"file:{FILE}", redis_url, hook) as fan:
            inputs = tokenizer(prompt, return_tensors="pt")
            generation = fan.start(model, tokenizer, dict(inputs), skip_prompt=False, max_new_tokens=400)
            output = generation.result()
            stream = generation.streams[0]
        expected = sha256(str(tokenizer.decode(output[0], skip_special_tokens=True)))
        read_back = {
            "file": sha256(FILE.read_bytes()),
            "redis": sha256(in_redis(redis_url, stream.id)),
            "webhook": sha256("".join(pieces)),
        }
    print(flush=True)
    show(fan.report, expected, read_back)
    equal = {expected, *read_back.values(), *(delivery.sha256 for delivery in fan.report.streams[0].deliveries)}
    if len(equal) > 1:
        console.print("[red]the texts differ[/]")
        return 1
    console.print(f"Four sinks, one text. The file is {FILE}; in Redis it was stream {stream.id}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
