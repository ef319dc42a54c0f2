"""A translation on stdout, and on stderr how far it is: tokens of how many there may be, and how fast they come.

python examples/translation.py ["Hello, how are you today?"] [French]
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan
from streamfan.demo import PATH  # it knows no French: name a model that does

text = sys.argv[1] if len(sys.argv) > 1 else "Hello, how are you today?"
language = sys.argv[2] if len(sys.argv) > 2 else "French"
tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

# A live line at a terminal, elsewhere one now and then; on a thread of its own, so that it costs the model nothing.
with Fan("stdout", "progress") as fan:
    prompt = f"Translate to {language}: {text}\nTranslation:"
    fan.generate(model, tokenizer, prompt, max_new_tokens=100)
(report,) = fan.report.streams
print(f"\n[{report.tokens} tokens in {report.duration:.1f} s]", file=sys.stderr)
