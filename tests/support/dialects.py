"""What servers send: the dialects of real ones, and streams that break the rules.

Written by hand after what was measured of transformers serve 5.23.0, llama-cpp-python 0.3.36, mlx-lm 0.32.2 and vLLM
0.32.0; none of it is a recording. The servers of transformers and mlx-lm are also tested themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\n\n"


def event(data: object, *, raw: bool = True) -> bytes:
    """One server-sent event, with what is not ASCII as it is, or escaped."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=not raw)
    return f"data: {text}\n\n".encode()


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    """A chunk of a chat, without what nobody reads."""
    content = {} if text is None else {"content": text}
    choice = {"index": index, "delta": {**content, **delta}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def chat(*texts: str, finish: str | None = "stop", done: bool = True) -> bytes:
    """A stream as the documents have it."""
    events = [chunk(role="assistant"), *map(chunk, texts), *([chunk(finish=finish)] if finish else [])]
    return b"".join(map(event, events)) + (DONE if done else b"")


@dataclass(frozen=True)
class Played:
    """A stream, and what is to become of it.

    Attributes:
        error: What the error says, in part; None for a good end.
    """

    body: bytes
    text: str
    finish: str = "stop"
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _transformers() -> bytes:
    head = {"id": "5f1c", "created": 1764, "model": "/models/demo@main", "object": "chat.completion.chunk"}
    usage = {"completion_tokens": 3, "prompt_tokens": 14, "total_tokens": 17}
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, {"content": "Größe"}, {"content": " 狐\u2028!"}]
    events = [{**head, "choices": [{"delta": delta, "index": 0}]} for delta in deltas]
    end = {**head, "choices": [{"delta": {}, "finish_reason": "stop", "index": 0}], "usage": usage}
    return b"".join(map(event, [*events, end]))


def _llama_cpp() -> bytes:
    head = {"id": "chatcmpl-1", "model": "m", "created": 1764, "object": "chat.completion.chunk"}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant"},
        {"content": "Größe"},
        {"content": ""},
        {"content": ""},
        {"content": " 狐\u2028!"},
    ]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    return b"".join(event({**head, "choices": [choice]}, raw=False) for choice in choices) + DONE


def _mlx() -> bytes:
    head = {"id": "chatcmpl-1", "system_fingerprint": "f", "object": "chat.completion.chunk", "model": "m"}
    choices = [
        {"index": 0, "finish_reason": reason, "delta": {"role": "assistant", "content": text}}
        for text, reason in (("Größe", None), (" 狐\u2028!", None), ("", "stop"))
    ]
    usage = {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}
    last = {**head, "object": "chat.completion", "choices": [], "usage": usage}
    events = [*({**head, "choices": [choice]} for choice in choices), last]
    return b": keepalive 1/14\n\n: keepalive 14/14\n\n" + b"".join(event(e, raw=False) for e in events) + DONE


def _vllm() -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764, "model": "m"}
    nulls = {"logprobs": None, "token_ids": None}
    choices = [
        {"index": 0, "delta": delta, **nulls, "finish_reason": reason}
        for delta, reason in (
            ({"role": "assistant", "content": ""}, None),
            ({"content": "Größe", "reasoning": None}, None),
            # The last text is in the chunk with the reason.
            ({"content": " 狐\u2028!", "reasoning": None}, "stop"),
        )
    ]
    usage = {"prompt_tokens": 14, "total_tokens": 17, "completion_tokens": 3, "prompt_tokens_details": None}
    events = [*({**head, "choices": [choice], "usage": None} for choice in choices)]
    return b"".join(map(event, [*events, {**head, "choices": [], "usage": usage}])) + DONE


DIALECT_TEXT = "Größe 狐\u2028!"
DIALECTS = {"transformers": _transformers(), "llama-cpp": _llama_cpp(), "mlx-lm": _mlx(), "vllm": _vllm()}
"""Of each server the same text."""

_HELLO = chat("Hel", "lo")
_BEGUN = chat("Hel", finish=None, done=False)
_ODD = "a\u2028b\u2029c\u0085d 狐🦊"

HOSTILE = {
    "line separators inside JSON": Played(chat(_ODD), _ODD),
    "control characters inside JSON": Played(
        event('{"choices":[{"delta":{"content":"a\tb\x01c"}}]}') + DONE, "a\tb\x01c"
    ),
    "no [DONE]": Played(chat("Hello", done=False), "Hello"),
    "no finish reason": Played(chat("Hello", finish=None), "Hello"),
    "neither": Played(_BEGUN, "Hel", "error", "finish_reason"),
    "no space after data:": Played(_HELLO.replace(b"data: ", b"data:"), "Hello"),
    "comments": Played(b": PROCESSING\n\n" + _HELLO.replace(b"\n\n", b"\n:\n\n: OPENROUTER PROCESSING\n\n"), "Hello"),
    "events without data": Played(b"data:\n\n" + _HELLO.replace(b"\n\n", b"\n\nevent: ping\ndata: \n\n"), "Hello"),
    "CRLF": Played(_HELLO.replace(b"\n", b"\r\n"), "Hello"),
    "CR": Played(_HELLO.replace(b"\n", b"\r"), "Hello"),
    "other fields": Played(b"retry: 5\nid: 1\nevent: message\nx-more: y\n" + _HELLO, "Hello"),
    "data of several lines": Played(event('{"choices":\ndata: [{"delta":{"content":"Hello"}}]}') + DONE, "Hello"),
    "null delta": Played(event({"choices": [{"delta": None}]}) + _HELLO, "Hello"),
    "no delta": Played(event({"choices": [{"index": 0}]}) + _HELLO, "Hello"),
    "empty delta": Played(event(chunk()) + event(chunk("")) + _HELLO, "Hello"),
    "null content": Played(event(chunk(content=None)) + _HELLO, "Hello"),
    "null choices": Played(event({"choices": None, "usage": {"total_tokens": 1}}) + _HELLO, "Hello"),
    "no choices": Played(event({"id": "x"}) + _HELLO, "Hello"),
    "usage without choices": Played(
        chat("Hello", done=False) + event({"choices": [], "usage": {"total_tokens": 1}}) + DONE, "Hello"
    ),
    "last event without a blank line": Played(chat("Hello", done=False).removesuffix(b"\n\n"), "Hello"),
    "last event without its end": Played(chat("Hello", done=False)[:-20], "Hello", "error", "breaks off"),
    "cut inside a character": Played(_BEGUN + event(chunk("狐"))[:-32], "Hel", "error", "breaks off"),
    "byte order mark": Played(b"\xef\xbb\xbf" + _HELLO, "Hello"),
    "empty finish reason": Played(event(chunk("Hel", "")) + event(chunk("lo", "stop")), "Hello"),
    "text in the finish chunk": Played(event(chunk("Hello", "length")), "Hello", "length"),
    "parts of content": Played(
        event(chunk(content=[{"type": "text", "text": "Hello"}, {"type": "x"}])) + DONE, "Hello"
    ),
    "refusal": Played(event(chunk(content=None, refusal="I will not")) + event(chunk(finish="stop")), "I will not"),
    "reasoning": Played(
        event(chunk(content=None, reasoning_content="hm")) + event(chunk(reasoning="m")) + _HELLO, "Hello"
    ),
    "another choice": Played(event(chunk("no", index=1)) + _HELLO, "Hello"),
    "an answer that came whole": Played(
        json.dumps(
            {"object": "chat.completion", "choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}]},
            indent=1,
        ).encode(),
        "Hello",
        "length",
    ),
    "an error object": Played(
        _BEGUN + event({"error": {"message": "out of memory", "code": 500}}), "Hel", "error", "'out of memory'"
    ),
    "an error string": Played(_BEGUN + event({"error": "out of memory"}), "Hel", "error", "'out of memory'"),
    "a detail": Played(_BEGUN + event({"detail": [{"msg": "no"}]}), "Hel", "error", '"msg": "no"'),
    "an object that is an error": Played(_BEGUN + event({"object": "error", "message": "no"}), "Hel", "error", "'no'"),
    "an error event with JSON": Played(_BEGUN + b"event: error\n" + event({"message": "no"}), "Hel", "error", "'no'"),
    "an error event with text": Played(
        _BEGUN + b"event: error\ndata: out of memory\n\n", "Hel", "error", "'out of memory'"
    ),
    "an error event without data": Played(_BEGUN + b"event: error\ndata:\n\n", "Hel", "error", "server failed: ''"),
    "an error field": Played(_BEGUN + b'error: {"message": "no"}\n\n', "Hel", "error", "'no'"),
    "an error with quotes": Played(
        _BEGUN + event('{"error": "no "this" is wrong"}'), "Hel", "error", 'no "this" is wrong'
    ),
    "finish reason error": Played(_BEGUN + event(chunk(finish="error")), "Hel", "error", "'error'"),
    "JSON instead of a stream": Played(b'{"error": {"message": "no"}}', "", "error", "'no'"),
    "HTML instead of a stream": Played(b"<html>\r\n<body>busy</body>", "", "error", "'<html>'"),
    "nothing": Played(b"", "", "error", "nothing"),
    "no JSON": Played(_BEGUN + event("hello"), "Hel", "error", "'hello'"),
    "NaN": Played(_BEGUN + event('{"choices": NaN}'), "Hel", "error", "NaN"),
    "JSON that is deep": Played(_BEGUN + event("[" * 200_000), "Hel", "error", r"\[\[\["),
    "JSON that is no object": Played(_BEGUN + event("[1]"), "Hel", "error", r"'\[1\]'"),
    "choices that are none": Played(_BEGUN + event({"choices": {"a": 1}}), "Hel", "error", "choices"),
    "a choice that is none": Played(_BEGUN + event({"choices": [1]}), "Hel", "error", "choices"),
    "a delta that is none": Played(_BEGUN + event({"choices": [{"delta": 1}]}), "Hel", "error", "delta"),
    "content that is none": Played(_BEGUN + event(chunk(content=1)), "Hel", "error", "content"),
    "an index that is none": Played(_BEGUN + event({"choices": [{"index": -1}]}), "Hel", "error", "index"),
    "a line that is no event": Played(_BEGUN + b"<html>\n\n", "Hel", "error", "'<html>'"),
    "bytes that are no text": Played(_BEGUN + b"\xff\xfe\x00\n\n", "Hel", "error", "no event"),
}
"""Streams that break a rule or come close to it."""
