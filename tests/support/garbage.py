"""What nobody would send on purpose: any bytes, and JSON that has the names of OpenAI's API in the wrong places."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.dialects import event

_KEYS = ["choices", "delta", "content", "index", "finish_reason", "tool_calls", "function", "arguments", "id", "usage"]
_KEYS += ["completion_tokens", "error", "message", "text", "reasoning", "refusal", "model", "type", "object"]
_LEAVES = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5)

SHAPED = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS) | st.text(), inner, max_size=4),
    max_leaves=12,
)
"""What JSON can be made of."""

COUNTED = (st.just(10**400) | SHAPED).map(lambda count: {"choices": [], "usage": {"completion_tokens": count}})
CALLED = st.lists(
    st.fixed_dictionaries({}, optional={"index": SHAPED, "id": SHAPED, "function": SHAPED}), max_size=2
).map(lambda calls: {"choices": [{"delta": {"tool_calls": calls}}]})
"""Messages that come closer."""

GARBAGE = st.binary(max_size=60) | (SHAPED | COUNTED | CALLED).map(event)
"""Of a body of server-sent events."""
