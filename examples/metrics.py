"""How fast it was: tokens, time to the first one, tokens per second, and the time between them.

python examples/metrics.py
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan
from streamfan.demo import PATH  # the bundled model; any other does as well

if TYPE_CHECKING:
    from streamfan import Stream, StreamReport


def show(stream: Stream, report: StreamReport) -> None:
    """Called for each stream when it has ended and all sinks have it, on a thread for that."""
    print(f"\n{report.tokens} tokens, {report.finish_reason}", file=sys.stderr)
    if report.ttft is not None:
        print(f"time to first token: {report.ttft * 1000:.1f} ms", file=sys.stderr)
    if (it := report.intervals) is not None:
        print(f"rate: {it.rate:.1f} {it.unit}s per second", file=sys.stderr)
        milliseconds = [f"{seconds * 1000:.1f} ms" for seconds in (it.mean, it.p50, it.p99)]
        print("between {}s: average {}, p50 {}, p99 {}".format(it.unit, *milliseconds), file=sys.stderr)


tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)

with Fan("stdout") as fan:
    fan.observe(show)
    fan.generate(model, tokenizer, "Once upon a time", max_new_tokens=100)
