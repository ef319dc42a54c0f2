"""Robust streaming from any server: tried again, gone on with, counted, and in a file whatever happens.

What a loop with `try` and `sleep` around a client gets wrong: it asks again after text was printed and prints all of
it twice, takes a connection that broke for the end, and counts pieces of text as tokens.

    python examples/any_server.py http://localhost:8000 "A story about a fox" [MODEL]
"""

from __future__ import annotations

import logging
import sys

from streamfan import Callback, End, Event, Fan
from streamfan.source import Request
from streamfan.sources.openai import OpenAISource, ServerOptions


def show(event: Event) -> None:
    """Say on stderr how it went, as the server counts."""
    if isinstance(event, End):
        tokens = event.meta.get("usage", {}).get("completion_tokens", "an unknown number of")
        first = "never" if event.ttft is None else f"after {event.ttft:.2f} s"
        print(f"\n{event.finish_reason}: {tokens} tokens in {event.duration:.2f} s, first {first}", file=sys.stderr)


def main(url: str, prompt: str, model: str | None = None) -> int:
    """Stream the answer to stdout and to a file; returns the exit code."""
    logging.basicConfig(format="%(message)s")  # what is tried again, and why
    source = OpenAISource(url, ServerOptions(resume="continue", usage=True))
    request = Request(prompt=prompt, model=model)
    source.load(request)
    with Fan("stdout", "file:answer.txt", Callback(show, events=True)) as fan:
        source.run(fan, request)
    fan.report.raise_for_failures()  # of sinks
    (stream,) = fan.report.streams
    if stream.error is not None:
        print(f"only a part of it: {stream.error}", file=sys.stderr)
    return 0 if stream.error is None else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
