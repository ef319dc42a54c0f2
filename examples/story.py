"""A story on the terminal and in a file at once; Ctrl-C stops the model and keeps what there is.

python examples/story.py ["Once upon a time in a magical forest"]
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan
from streamfan.demo import PATH  # the bundled model; any other does as well

prompt = sys.argv[1] if len(sys.argv) > 1 else "Once upon a time in a magical forest"
tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

with Fan("stdout", "file:story.txt") as fan:
    fan.generate(model, tokenizer, prompt, max_new_tokens=500, do_sample=True, top_p=0.9, temperature=0.8)
print(f"\n[{fan.report.streams[0].finish_reason}, kept in story.txt]", file=sys.stderr)
