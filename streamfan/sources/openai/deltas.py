"""One JSON message of a server into what it says about each choice.

The same for server-sent events and for WebSockets, for chat and for plain completions, and also for an answer that came
whole. Every server leaves out, adds and nulls something else, so all of it may be absent; what is there and of another
type than it can be is an error that shows the message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from streamfan.errors import SourceError
from streamfan.events import well_formed
from streamfan.sources.openai.faults import CutOff, excerpt

DONE = "[DONE]"
"""The data of the last event, of servers that send one."""

# Of vLLM, where the answer was given up on the server's side.
_FAILURES = frozenset({"error", "abort"})
_TOO_MANY = 2**53


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A part of a call to a tool.

    Attributes:
        index: Which call of its choice it is a part of.
        arguments: A part of the text that holds them.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a message says about one choice.

    Attributes:
        text: A part of the answer.
        reasoning: A part of what the model thought before it; no part of the answer.
        finish_reason: In the server's words; empty while there is more to come.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""

    @property
    def is_progress(self) -> bool:
        """Whether the model has done something, other than a server that says it is there."""
        return bool(self.text or self.reasoning or self.tool_calls or self.finish_reason)


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        usage: Numbers of tokens, by the server's names.
        model: What the server calls the model; empty where it does not say.
        done: Whether nothing follows.
    """

    deltas: tuple[Delta, ...] = ()
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    done: bool = False


def read(data: str, *, type: str = "", whole: bool = True) -> Message:  # noqa: A002 - the field's name
    """What `data` says.

    Args:
        data: A JSON object, or `[DONE]`.
        type: What the server calls the event.
        whole: Whether the event had an end; one that had none and cannot be read was cut off.

    Raises:
        SourceError: The server says that something is wrong, or says nothing that can be understood; with its words.
        CutOff: The event had no end.
    """
    if data.strip() == DONE:
        return Message(done=True)
    try:
        # Not strict: some servers leave control characters as they are.
        loaded = json.loads(data, strict=False)
    except (ValueError, RecursionError):
        if not whole:
            raise CutOff(f"the answer breaks off inside an event: {excerpt(data)}") from None
        said = "the server failed" if type == "error" else "the server sent an event that is no JSON"
        raise SourceError(f"{said}: {excerpt(data)}") from None
    if not isinstance(loaded, dict):
        raise SourceError(f"the server sent an event that is no JSON object: {excerpt(data)}")
    if reason := complaint(loaded, type):
        raise SourceError(f"the server failed: {reason}")
    try:
        return _message(loaded)
    except _Malformed as error:
        raise SourceError(f"the server sent an event whose {error} cannot be understood: {excerpt(data)}") from None


def complaint(said: dict[str, Any], type: str = "") -> str:  # noqa: A002 - the field's name
    """What a JSON object says is wrong; empty where it is no error."""
    for key in ("error", "detail"):
        if told := said.get(key):
            return _words(told)
    if type == "error" or "error" in (said.get("object"), said.get("type")):
        return _words(said)
    return ""


def _words(told: object) -> str:
    """The text in any of the forms that errors have; repr, for it is a stranger's."""
    message = told.get("message") if isinstance(told, dict) else told
    return excerpt(message if message and isinstance(message, str) else json.dumps(told, ensure_ascii=False))


class _Malformed(Exception):
    """A part of a message is of a type that it cannot have; the text names it."""


def _message(said: dict[str, Any]) -> Message:
    choices = _list(said, "choices")
    usage = said.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Message(
        deltas=tuple(_delta(choice) for choice in choices),
        usage={well_formed(key): value for key, value in counts.items() if _is_count(value)},
        model=_text(said, "model"),
    )


def _is_count(value: object) -> bool:
    # bool is an int to Python, and no number of tokens; nor is one that no float can hold.
    return type(value) is int and 0 <= value < _TOO_MANY


def _delta(choice: object) -> Delta:
    if not isinstance(choice, dict):
        raise _Malformed("choices")
    # Whole answers say `message`, plain completions have their text in the choice itself.
    said = choice.get("delta", choice.get("message"))
    if said is None:
        said = {}
    if not isinstance(said, dict):
        raise _Malformed("delta")
    reason = _text(choice, "finish_reason")
    if reason in _FAILURES:
        raise SourceError(f"the server failed: it ended the answer with finish_reason {reason!r}")
    return Delta(
        index=_index(choice),
        text=_content(said, "content") + _text(said, "refusal") + _text(choice, "text"),
        reasoning=_text(said, "reasoning_content") or _text(said, "reasoning"),
        tool_calls=_tool_calls(said),
        finish_reason=reason,
    )


def _content(said: dict[str, Any], key: str) -> str:
    """The text, also where it comes in parts, of which only those are text that say so."""
    content = said.get(key)
    if not isinstance(content, list):
        return _text(said, key)
    return "".join(_text(part, "text") for part in content if isinstance(part, dict) and part.get("type") == "text")


def _tool_calls(said: dict[str, Any]) -> tuple[ToolCall, ...]:
    calls = [_tool_call(call, place) for place, call in enumerate(_list(said, "tool_calls"))]
    # What it was called before there could be several.
    if said.get("function_call"):
        calls.append(_tool_call({"function": said["function_call"]}, 0))
    return tuple(calls)


def _tool_call(call: object, place: int) -> ToolCall:
    if not isinstance(call, dict):
        raise _Malformed("tool_calls")
    function = call.get("function") or {}
    if not isinstance(function, dict):
        raise _Malformed("tool_calls")
    return ToolCall(
        index=_index(call, place), id=_text(call, "id"), name=_text(function, "name"), arguments=_arguments(function)
    )


def _arguments(function: dict[str, Any]) -> str:
    given = function.get("arguments")
    # An object where there should be the text of one; Ollama did so.
    return json.dumps(given, ensure_ascii=False) if isinstance(given, dict) else _text(function, "arguments")


def _list(said: dict[str, Any], key: str) -> list[Any]:
    found = said.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _Malformed(key)
    return found


def _text(said: dict[str, Any], key: str) -> str:
    found = said.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise _Malformed(key)
    return found


def _index(said: dict[str, Any], otherwise: int = 0) -> int:
    found = said.get("index")
    if found is None:
        return otherwise
    if type(found) is not int or found < 0:
        raise _Malformed("index")
    return found
