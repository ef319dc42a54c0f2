"""What the span of a stream says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from streamfan import Fan, SpecError
from streamfan.testing import new_stream, play
from streamfan_otel import OtelSink, TracedFan, trace_context
from streamfan_otel.attributes import OUTPUT_MESSAGES

if TYPE_CHECKING:
    from tests.conftest import Memory

_SECRET = "the launch code is 0000"


def test_span_lasts_as_long_as_its_stream(memory: Memory) -> None:
    with Fan(memory.sink()) as fan, fan.open(model="tiny") as stream:
        stream.write("Once")

    span = memory.span
    assert stream.duration is not None
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.name == "text_completion tiny"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time == pytest.approx(stream.info.time.timestamp() * 1e9, abs=1e4)
    assert span.end_time - span.start_time == pytest.approx(stream.duration * 1e9, abs=1e4)


def test_attributes_are_those_of_the_conventions(memory: Memory) -> None:
    with Fan(memory.sink()) as fan:
        stream = fan.open("story", model="tiny", row=2, max_tokens=64, attempt=7, writer="c0de")
        stream.write("Once", [1])
        stream.write(" upon", [2, 3])
        stream.end("length")

    assert memory.attributes == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "streamfan",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.response.time_to_first_chunk": stream.ttft,
        "gen_ai.usage.output_tokens": 3,
        "streamfan.stream.id": "story",
        "streamfan.stream.attempt": 7,
        "streamfan.stream.row": 2,
        "streamfan.stream.writer": "c0de",
        "streamfan.text.bytes": 9,
        "streamfan.complete": True,
    }


def test_first_text_is_an_event_at_the_time_it_came(memory: Memory) -> None:
    with Fan(memory.sink()) as fan, fan.open() as stream:
        stream.write("Once")
        stream.write(" upon")

    (event,) = memory.span.events
    assert event.name == "streamfan.first_text"
    assert stream.ttft is not None
    assert memory.span.start_time is not None
    assert event.timestamp - memory.span.start_time == pytest.approx(stream.ttft * 1e9, abs=1e4)


def test_stream_without_text_has_no_first_text(memory: Memory) -> None:
    play("", memory.sink())

    assert memory.span.events == ()
    assert "gen_ai.response.time_to_first_chunk" not in memory.attributes


def test_error_of_the_producer_is_the_status(memory: Memory) -> None:
    with Fan(memory.sink()) as fan:
        fan.open().fail(MemoryError("out of memory"))

    assert memory.span.status.status_code is StatusCode.ERROR
    assert memory.span.status.description == "out of memory"
    assert memory.attributes["error.type"] == "MemoryError"
    assert memory.attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_cancelled_stream_is_no_error(memory: Memory) -> None:
    with Fan(memory.sink()) as fan, fan.open() as stream:
        stream.cancel("seen enough", by="somebody")

    assert memory.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in memory.attributes
    assert memory.attributes["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert memory.attributes["streamfan.cancel.reason"] == "seen enough"
    assert memory.attributes["streamfan.cancel.by"] == "somebody"


def test_what_a_server_says_at_the_end_is_recorded(memory: Memory) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
    with Fan(memory.sink()) as fan:
        fan.open(model="big").end("stop", meta={"model": "big-2026", "usage": usage, "finish_reason": "tool_calls"})

    attributes = memory.attributes
    assert attributes["gen_ai.request.model"] == "big"
    assert attributes["gen_ai.response.model"] == "big-2026"
    assert attributes["gen_ai.usage.input_tokens"] == 12
    assert attributes["gen_ai.usage.output_tokens"] == 34
    assert attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)


@pytest.mark.parametrize("usage", [None, "12", {"prompt_tokens": "12"}, {"prompt_tokens": True}, {"prompt_tokens": -1}])
def test_usage_that_is_no_number_is_left_out(memory: Memory, usage: Any) -> None:
    with Fan(memory.sink()) as fan:
        fan.open().end(meta={"usage": usage})

    assert not [name for name in memory.attributes if name.startswith("gen_ai.usage.")]


def test_meta_of_the_stream_goes_before_the_options(memory: Memory) -> None:
    meta = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.temperature": 0.5,
        "server.address": "api.example.com",
        "server.port": 443,
        "tenant": "not a name of the conventions",
    }
    with Fan(memory.sink(provider="mine", operation="generate_content")) as fan:
        fan.open(model="big", meta=meta).end()

    assert memory.span.name == "chat big"
    assert memory.span.kind is SpanKind.CLIENT
    del meta["tenant"]
    assert memory.attributes.items() >= meta.items()
    assert "tenant" not in memory.attributes


def test_options_say_what_meta_does_not(memory: Memory) -> None:
    play("text", memory.sink(provider="mine", operation="chat"))

    assert memory.attributes["gen_ai.provider.name"] == "mine"
    assert memory.attributes["gen_ai.operation.name"] == "chat"


# Content


def test_neither_text_nor_messages_are_recorded(memory: Memory) -> None:
    meta = {"gen_ai.input.messages": [_SECRET], "gen_ai.system_instructions": _SECRET, "gen_ai.prompt": _SECRET}
    with Fan(memory.sink()) as fan, fan.open(meta={**meta, "prompt": _SECRET}) as stream:
        stream.write(_SECRET)

    assert "launch code" not in memory.span.to_json()


def test_content_is_recorded_where_that_is_wanted(memory: Memory) -> None:
    asked = [{"role": "user", "parts": [{"type": "text", "content": "Größe?"}]}]
    with Fan(memory.sink(capture_content=True)) as fan:
        stream = fan.open(meta={"gen_ai.input.messages": asked})
        stream.write("Größe ")
        stream.write("日本")
        stream.end("stop")

    answer = {"role": "assistant", "parts": ({"type": "text", "content": "Größe 日本"},), "finish_reason": "stop"}
    assert memory.attributes[OUTPUT_MESSAGES] == (answer,)
    assert memory.attributes["gen_ai.input.messages"][0]["role"] == "user"
    assert "streamfan.content.truncated" not in memory.attributes


def test_content_is_cut_between_characters_and_says_so(memory: Memory) -> None:
    with Fan(memory.sink(capture_content=True, max_content=4)) as fan, fan.open() as stream:
        stream.write("ab")
        stream.write("日本")

    ((message,), attributes) = memory.attributes[OUTPUT_MESSAGES], memory.attributes
    assert message["parts"][0]["content"] == "ab"
    assert attributes["streamfan.content.truncated"] is True
    assert attributes["streamfan.text.bytes"] == 8


# Attempts


def test_each_attempt_is_a_span_linked_to_the_one_before(memory: Memory) -> None:
    with Fan(memory.sink()) as fan:
        fan.open("story", attempt=1).fail("cut off")
        fan.open("story", attempt=2).end()
        fan.open("another", attempt=3).end()

    spans = {dict(span.attributes or {})["streamfan.stream.attempt"]: span for span in memory.spans}
    assert [link.context for link in spans[2].links] == [spans[1].context]
    assert spans[1].links == spans[3].links == ()


def test_span_of_a_stream_that_was_not_closed_is_ended(memory: Memory) -> None:
    sink = memory.sink()
    sink.connect()
    sink.open(new_stream(id="story"))

    sink.disconnect()

    assert memory.span.status.status_code is StatusCode.ERROR
    assert memory.attributes["streamfan.complete"] is False


# Parents


def test_stream_of_a_plain_fan_has_no_parent(memory: Memory) -> None:
    tracer = memory.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("request"), Fan(memory.sink()) as fan:
        fan.open().end()

    assert memory.spans[0].parent is None


def test_parent_is_named_in_meta(memory: Memory) -> None:
    tracer = memory.tracer_provider.get_tracer("test")
    with Fan(memory.sink()) as fan, tracer.start_as_current_span("request") as request:
        fan.open(meta={"purpose": "test", **trace_context()}).end()

    child = next(span for span in memory.spans if span.name != "request")
    assert child.parent is not None
    assert child.parent.span_id == request.get_span_context().span_id
    assert child.parent.trace_id == request.get_span_context().trace_id


def test_traced_fan_takes_the_span_that_is_current_where_a_stream_is_opened(memory: Memory) -> None:
    tracer = memory.tracer_provider.get_tracer("test")
    requests: list[tuple[str, int]] = []

    def answer(name: str) -> None:
        with tracer.start_as_current_span(name) as request, fan.open(name) as stream:
            stream.write("text")
            requests.append((name, request.get_span_context().span_id))

    with TracedFan(memory.sink()) as fan:
        threads = [threading.Thread(target=answer, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    children = [(dict(span.attributes or {}).get("streamfan.stream.id"), span.parent) for span in memory.spans]
    found = {(stream, parent.span_id) for stream, parent in children if parent is not None}
    assert found == set(requests)


def test_traced_fan_opens_streams_where_no_span_is_current(memory: Memory) -> None:
    with TracedFan(memory.sink()) as fan:
        stream = fan.open(meta={"purpose": "test"})
        stream.end()

    assert stream.info.meta == {"purpose": "test"}
    assert memory.span.parent is None


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", 7, None, ["a"]])
def test_parent_that_cannot_be_is_none(memory: Memory, traceparent: Any) -> None:
    with Fan(memory.sink()) as fan:
        fan.open(meta={"traceparent": traceparent}).end()

    assert memory.span.parent is None


# The sink


def test_target_is_refused() -> None:
    with pytest.raises(SpecError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        OtelSink("http://localhost:4318")


def test_providers_that_record_nothing_disturb_nothing() -> None:
    report = play("text", OtelSink(tracer_provider=trace.NoOpTracerProvider()))

    assert report.sinks[0].complete == 1
