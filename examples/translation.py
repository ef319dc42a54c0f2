"""A translation on stdout, and on stderr how far it is: tokens of how many there may be, counted by their ids.

python examples/translation.py ["Hello, how are you today?"] [French]
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Callback, End, Event, Fan, Text
from streamfan.demo import PATH  # it knows no French: name a model that does

MAX_NEW_TOKENS = 100
text = sys.argv[1] if len(sys.argv) > 1 else "Hello, how are you today?"
language = sys.argv[2] if len(sys.argv) > 2 else "French"
tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)
tokens = 0


def show_progress(event: Event) -> None:
    """Say how far it is; on a thread of its own, so that a slow terminal costs the model nothing."""
    global tokens
    if isinstance(event, Text | End):
        tokens += len(event.token_ids)
        print(f"\r[{language}: {tokens} of {MAX_NEW_TOKENS} tokens at most]", end="", file=sys.stderr, flush=True)


with Fan("stdout", Callback(show_progress, events=True)) as fan:
    prompt = f"Translate to {language}: {text}\nTranslation:"
    fan.generate(model, tokenizer, prompt, max_new_tokens=MAX_NEW_TOKENS)
print(f"\n[{tokens} tokens in {fan.report.streams[0].duration:.1f} s]", file=sys.stderr)
