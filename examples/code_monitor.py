"""Code, watched while it is generated: the model is stopped at the first line that cannot be Python any more.

python examples/code_monitor.py ["# Task: fibonacci numbers"]
"""

from __future__ import annotations

import sys
from codeop import compile_command

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Chunk, Fan, LaneOptions, Sink, StreamInfo
from streamfan.demo import PATH  # it tells stories: a model that knows Python does better


class Watch(Sink):
    """Reads along, and says stop; the terminal is not slowed down by it."""

    name = "watch"

    def open(self, stream: StreamInfo) -> None:
        """Begin with a stream."""
        self._code = self.fault = ""

    def write(self, chunk: Chunk) -> None:
        """Look at the code so far."""
        self._code += chunk.text
        try:
            # None where it is only unfinished.
            compile_command(self._code, symbol="exec")
        except SyntaxError as error:
            self.fault = f"line {error.lineno}: {error.msg}"
            chunk.stream.cancel(self.fault, by=self.name)


prompt = sys.argv[1] if len(sys.argv) > 1 else "# Task: a function for the fibonacci numbers\n# Python code:\n"
tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)
watch = Watch()

with Fan("stdout") as fan:
    fan.add(watch, lane=LaneOptions(boundary="line"))
    fan.generate(model, tokenizer, prompt, max_new_tokens=200, do_sample=True, temperature=0.2)
print(f"\n[{fan.report.streams[0].finish_reason}: {watch.fault or 'this is Python'}]", file=sys.stderr)
