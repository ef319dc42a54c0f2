"""What is measured, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streamfan import Fan, LaneOptions
from streamfan.testing import RecordingSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan import Stream
    from tests.conftest import Memory

_BASE = {"gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "streamfan", "gen_ai.request.model": "m"}
_LOCAL = {"gen_ai.server.request.duration", "gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token"}
_DURATION = "gen_ai.client.operation.duration"
_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
_TOKENS = "gen_ai.client.token.usage"


@pytest.fixture
def fan(memory: Memory) -> Iterator[Fan]:
    with Fan(memory.sink()) as fan:
        fan.observe(memory.measuring(), patience=30)
        yield fan


def measured(memory: Memory, fan: Fan) -> dict[str, list[Any]]:
    """What is measured when the fan is closed: it waits for its observers."""
    fan.close()
    return memory.metrics()


def generate(fan: Fan, **meta: Any) -> Stream:
    with fan.open(model="m", meta=meta) as stream:
        stream.write("Once", [1])
        stream.write(" upon", [2, 3])
    return stream


def test_model_in_this_process_is_measured_as_a_server(memory: Memory, fan: Fan) -> None:
    stream = generate(fan)

    points = measured(memory, fan)
    assert points.keys() >= {_DURATION, _TOKENS, *_LOCAL}
    assert _FIRST_CHUNK not in points
    values = {name: points[name][0].sum for name in (_DURATION, *_LOCAL)}
    assert values == {
        _DURATION: stream.duration,
        "gen_ai.server.request.duration": stream.duration,
        "gen_ai.server.time_to_first_token": stream.ttft,
        "gen_ai.server.time_per_output_token": stream.tpot,
    }
    assert all(dict(points[name][0].attributes) == _BASE for name in values)


@pytest.mark.parametrize("remote", [{"server.address": "example.com", "server.port": 8000}, {}])
def test_model_of_a_server_is_measured_as_its_client_does(memory: Memory, fan: Fan, remote: dict[str, Any]) -> None:
    stream = fan.open(model="m", meta=remote)
    stream.write("Once", [1])
    stream.write(" upon", [2])
    stream.end(meta={} if remote else {"model": "m-2026"})

    points = measured(memory, fan)
    assert not points.keys() & _LOCAL
    (point,) = points[_FIRST_CHUNK]
    assert point.sum == stream.ttft
    assert dict(point.attributes) == {**_BASE, **(remote or {"gen_ai.response.model": "m-2026"})}


def test_buckets_are_those_of_the_conventions(memory: Memory, fan: Fan) -> None:
    generate(fan)

    bounds = {name: points[0].explicit_bounds for name, points in measured(memory, fan).items() if "gen_ai" in name}
    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
    assert bounds[_DURATION] == pytest.approx(seconds)
    assert bounds["gen_ai.server.request.duration"] == pytest.approx(seconds)
    tokens = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    assert tuple(bounds[_TOKENS]) == tokens
    first = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    assert tuple(bounds["gen_ai.server.time_to_first_token"]) == first
    each = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
    assert tuple(bounds["gen_ai.server.time_per_output_token"]) == each


def test_tokens_are_counted_by_type(memory: Memory, fan: Fan) -> None:
    fan.open(model="m").end(meta={"usage": {"prompt_tokens": 12, "completion_tokens": 34}})

    found = {point.attributes["gen_ai.token.type"]: point.sum for point in measured(memory, fan)[_TOKENS]}
    assert found == {"input": 12, "output": 34}


def test_chunks_are_not_taken_for_tokens(memory: Memory, fan: Fan) -> None:
    with fan.open() as stream:
        stream.write("Once")
        stream.write(" upon")

    points = measured(memory, fan)
    assert _DURATION in points
    assert not points.keys() & {_TOKENS, "gen_ai.server.time_per_output_token"}


def test_failed_streams_can_be_told_apart(memory: Memory, fan: Fan) -> None:
    failing = fan.open(model="m")
    failing.write("Once", [1])
    failing.fail(MemoryError("out of memory"))
    generate(fan)

    points = measured(memory, fan)
    for name in (_DURATION, "gen_ai.server.request.duration"):
        assert {point.attributes.get("error.type"): point.count for point in points[name]} == {
            "MemoryError": 1,
            None: 1,
        }

    # By the conventions only durations tell.
    names = {_TOKENS, "gen_ai.server.time_to_first_token"}
    assert not [point for name in names for point in points[name] if "error.type" in point.attributes]


def test_reasoning_is_a_part_of_another_stream(memory: Memory, fan: Fan) -> None:
    answer = generate(fan)
    generate(fan, of=answer.id)

    points = measured(memory, fan)
    assert [point.count for point in points[_DURATION]] == [1]
    assert sum(point.value for point in points["streamfan.sink.streams"]) == 2


def test_stream_is_measured_once_beside_a_sink(memory: Memory, fan: Fan) -> None:
    generate(fan)

    points = measured(memory, fan)
    assert len(memory.spans) == 1
    assert {name: points[name][0].count for name in (_DURATION, *_LOCAL)} == dict.fromkeys((_DURATION, *_LOCAL), 1)


def test_metrics_hold_no_name_of_a_stream(memory: Memory, fan: Fan) -> None:
    generate(fan, **{"gen_ai.conversation.id": "conv_1", "gen_ai.request.temperature": 0.3})

    names = {name for points in measured(memory, fan).values() for point in points for name in point.attributes}
    assert names == {*_BASE, "gen_ai.token.type", "streamfan.sink.id", "streamfan.complete"}


class Refusing(RecordingSink):
    """Takes the beginning of a text."""

    name = "refusing"

    def write(self, chunk: Any) -> None:
        super().write(chunk)
        if chunk.offset:
            raise ValueError("no more")


def test_what_each_sink_was_given_is_counted(memory: Memory, fan: Fan) -> None:
    refusing = Refusing()
    fan.add(refusing, lane=LaneOptions(linger=0))
    with fan.open() as stream:
        stream.write("Once")
        refusing.wait_for("write")
        stream.write(" upon")

    points = measured(memory, fan)

    def of(name: str, *keys: str) -> dict[tuple[Any, ...], Any]:
        return {tuple(point.attributes[key] for key in keys): point.value for point in points[name]}

    by_sink = of("streamfan.sink.streams", "streamfan.sink.id", "streamfan.complete")
    assert by_sink == {("otel", True): 1, ("refusing", False): 1}
    assert of("streamfan.sink.delivered", "streamfan.sink.id") == {("otel",): 9, ("refusing",): 4}
    assert of("streamfan.sink.undelivered", "streamfan.sink.id", "reason") == {("refusing", "missing"): 5}
    assert of("streamfan.sink.retries", "streamfan.sink.id") == {("otel",): 0, ("refusing",): 0}
