"""A conversation that remembers: with the bundled model, or with any server that speaks OpenAI's API.

    python examples/chat.py [http://localhost:8000]

At a shell, `streamfan chat` does this and more: an editor, Markdown, Ctrl-C that stops an answer and keeps it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from streamfan import Fan, StreamfanError
from streamfan.source import Message, Request
from streamfan.sources.openai import OpenAISource
from streamfan.sources.transformers import TransformersSource

if TYPE_CHECKING:
    from streamfan import Stream

SYSTEM = Message("system", "You are a helpful assistant.")

source = OpenAISource(sys.argv[1]) if len(sys.argv) > 1 else TransformersSource()
request = Request(max_new_tokens=100, temperature=0.7, messages=())
source.load(request)
said = [SYSTEM]
answers: SimpleQueue[Stream] = SimpleQueue()

with Fan("stdout", "file:chat-{stream}.txt") as fan:
    fan.observe(lambda stream, report: answers.put(stream))  # when every sink has all of it
    print("You: ", end="", file=sys.stderr, flush=True)
    for line in sys.stdin:
        question = Message("user", line.strip())
        if question.content.lower() == "quit":
            break
        try:
            source.run(fan, replace(request, messages=(*said, question)))
            answer = answers.get()
            if answer.outcome is not None and answer.outcome.error is not None:
                print(f"\nError: {answer.outcome.error.message}", file=sys.stderr)
            else:
                # A question without an answer would confuse the model.
                said += [question, Message("assistant", answer.text)]
        except StreamfanError as error:
            print(f"\nError: {error}", file=sys.stderr)
        print("\nYou: ", end="", file=sys.stderr, flush=True)
