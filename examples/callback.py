"""Callbacks: a function, a coroutine function, and an object that also hears of the end and of errors.

python examples/callback.py
"""

from __future__ import annotations

import asyncio
import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan, StreamFailed
from streamfan.demo import PATH  # the bundled model; any other does as well


def update(text: str, end: bool) -> None:
    """Called for every chunk, and once at the end; may take as long as it likes."""
    print(text, end="\n" if end else "", flush=True)


async def send(text: str, end: bool) -> None:
    """The same in asyncio: in a loop of its own."""
    await asyncio.sleep(0)
    sent.append(text)


class Listener:
    """Hears what happens to the answer."""

    def __init__(self) -> None:
        self.answer = ""

    def on_token(self, text: str) -> None:
        """Some text has come."""
        self.answer += text

    def on_complete(self) -> None:
        """That was all."""
        print(f"[complete: {len(self.answer)} characters]", file=sys.stderr)

    def on_error(self, error: StreamFailed) -> None:
        """No more will come."""
        print(f"[{error}, after {len(self.answer)} characters]", file=sys.stderr)


sent: list[str] = []
tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

with Fan(update, send, Listener()) as fan:
    fan.generate(model, tokenizer, "Once upon a time", max_new_tokens=50)
print(f"[sent: {len(''.join(sent))} characters]", file=sys.stderr)
