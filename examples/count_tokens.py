"""A sink that counts tokens: by their ids, for a chunk may hold several or a part of one.

python examples/count_tokens.py
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Chunk, End, Fan, Sink, StreamInfo
from streamfan.demo import PATH  # the bundled model; any other does as well


class TokenCount(Sink):
    """Counts the tokens, and the chunks, of a stream."""

    name = "count"

    def open(self, stream: StreamInfo) -> None:
        """Begin with a stream."""
        self.tokens = self.chunks = 0

    def write(self, chunk: Chunk) -> None:
        """Count what a chunk was made of."""
        self.tokens += len(chunk.token_ids)
        self.chunks += 1

    def close(self, stream: StreamInfo, end: End) -> None:
        """Count those without text, the end of sequence for one."""
        self.tokens += len(end.token_ids)


tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

count = TokenCount()

with Fan("stdout", count) as fan:
    fan.generate(model, tokenizer, "Once upon a time", max_new_tokens=50)
# Only here has stdout all of the text: no sink waits for another.
print(f"\n[{count.tokens} tokens in {count.chunks} chunks]", file=sys.stderr)
