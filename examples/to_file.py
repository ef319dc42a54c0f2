"""A program that has a TextStreamer already: one import and one argument, and the text is in a file as well.

python examples/to_file.py [output.txt]
"""

from __future__ import annotations

import sys
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import TextStreamer  # was: from transformers import TextStreamer
from streamfan.demo import PATH  # the bundled model; any other does as well

path = sys.argv[1] if len(sys.argv) > 1 else "output.txt"
tokenizer = AutoTokenizer.from_pretrained(PATH)
model: Any = AutoModelForCausalLM.from_pretrained(PATH)
inputs = tokenizer("Once upon a time", return_tensors="pt")

# Leaving the block waits for the file, and says in it how the run ended, also where generate() raises.
with TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, sinks=[f"file:{path}"]) as streamer:
    model.generate(**inputs, streamer=streamer, max_new_tokens=100)
