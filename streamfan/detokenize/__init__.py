"""Token ids to finalized text: exact, and with the same work for every id.

A tokenizer is compiled into a plan, once, and the plan starts one detokenizer for each stream. The usual families are
followed step by step (`bytelevel`, `bytefallback`, `pieces`), any other tokenizer through its own `decode` (`window`).
Stop strings act on the text that comes out.
"""

from __future__ import annotations

from streamfan.detokenize.compile import compile_plan
from streamfan.detokenize.plan import Detokenizer, Mode, Plan
from streamfan.detokenize.stops import StopStrings

__all__ = ["Detokenizer", "Mode", "Plan", "StopStrings", "compile_plan"]
