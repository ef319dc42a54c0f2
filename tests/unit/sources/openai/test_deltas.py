"""JSON messages of all servers into what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamfan.errors import SourceError
from streamfan.sources.openai.deltas import Delta, Message, ToolCall, read
from streamfan.sources.openai.events import EventDecoder
from streamfan.sources.openai.faults import CutOff
from tests.support.dialects import DIALECT_TEXT, DIALECTS, chunk


def messages(body: bytes) -> list[Message]:
    decoder = EventDecoder()
    events = [*decoder.push(body), *decoder.finish()]
    return [read(event.data, type=event.type, whole=event.whole) for event in events]


def delta(said: dict[str, Any]) -> Delta:
    (found,) = read(json.dumps(said)).deltas
    return found


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_says_the_same(name: str) -> None:
    found = messages(DIALECTS[name])

    deltas = [delta for message in found for delta in message.deltas]
    assert "".join(delta.text for delta in deltas) == DIALECT_TEXT
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    counts = [message.usage["completion_tokens"] for message in found if message.usage]
    assert counts == ([] if name == "llama-cpp" else [3])
    assert [message.done for message in found].count(True) == (0 if name == "transformers" else 1)


def test_server_that_only_says_that_it_is_there_has_made_no_progress() -> None:
    assert not delta(chunk(role="assistant")).is_progress
    assert not delta(chunk("")).is_progress
    assert delta(chunk(reasoning="hm")).is_progress


def test_plain_completion_has_its_text_in_the_choice() -> None:
    assert delta({"object": "text_completion", "choices": [{"text": "a", "index": 0}]}).text == "a"


def test_reasoning_is_no_text() -> None:
    assert delta(chunk(reasoning_content="hm", reasoning="hm")) == Delta(reasoning="hm")


def test_choices_keep_their_numbers() -> None:
    both = {"choices": [*chunk("a", index=1)["choices"], *chunk("b", index=0)["choices"]]}

    assert [(found.index, found.text) for found in read(json.dumps(both)).deltas] == [(1, "a"), (0, "b")]


def test_tool_calls_come_in_parts() -> None:
    first = chunk(tool_calls=[{"index": 1, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}])
    more = chunk(tool_calls=[{"index": 1, "function": {"arguments": '{"a'}}])

    assert delta(first).tool_calls == (ToolCall(1, "c", "f"),)
    assert delta(more).tool_calls == (ToolCall(1, arguments='{"a'),)


def test_tool_calls_of_other_servers() -> None:
    without_numbers = chunk(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": None}])

    assert delta(without_numbers).tool_calls == (ToolCall(0, name="f", arguments='{"a": 1}'), ToolCall(1))
    assert delta(chunk(function_call={"name": "f", "arguments": "{}"})).tool_calls == (ToolCall(0, "", "f", "{}"),)


@pytest.mark.parametrize("broken", [[1], "x", [{"function": 1}], [{"function": {"name": 1}}], [{"index": "0"}]])
def test_tool_calls_that_are_none_are_named(broken: object) -> None:
    with pytest.raises(SourceError, match="cannot be understood"):
        delta(chunk(tool_calls=broken))


def test_counts_are_numbers() -> None:
    usage = {"completion_tokens": 3, "prompt_tokens_details": {"cached": 1}, "cost": 0.1, "estimated": True, "x": None}

    assert read(json.dumps({"choices": [], "usage": usage})).usage == {"completion_tokens": 3}
    assert read('{"usage": 3}').usage == {}


def test_error_shows_what_was_said_and_not_all_of_it() -> None:
    with pytest.raises(SourceError) as caught:
        read('{"error": {"message": "' + "no\x1b " * 1000 + '"}}')

    assert "no\\x1b" in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_event_without_end_that_can_be_read_is_as_good_as_any() -> None:
    assert read(json.dumps(chunk("a")), whole=False).deltas == (Delta(text="a"),)
    with pytest.raises(CutOff, match="breaks off"):
        read(json.dumps(chunk("a"))[:-1], whole=False)
