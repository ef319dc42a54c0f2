"""A sink that counts tokens: by their ids, for a chunk may hold several or a part of one.

python examples/count_tokens.py
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Chunk, End, Fan, Sink, StreamInfo
from streamfan.demo import PATH  # the bundled model; any other does as well


class TokenCount(Sink):
    """Counts the tokens, and the chunks, of every stream."""

    name = "count"

    def open(self, stream: StreamInfo) -> None:
        """Begin with a stream."""
        self.tokens = self.chunks = 0

    def write(self, chunk: Chunk) -> None:
        """Count what a chunk was made of."""
        self.tokens += len(chunk.token_ids)
        self.chunks += 1

    def close(self, stream: StreamInfo, end: End) -> None:
        """Count those without text, the end of sequence for one, and say how many it were."""
        self.tokens += len(end.token_ids)
        print(f"\n[{self.tokens} tokens in {self.chunks} chunks]", file=sys.stderr)


tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

with Fan("stdout", TokenCount()) as fan:
    fan.generate(model, tokenizer, "Once upon a time", max_new_tokens=50)
